use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Map, Set, insertion_sort};

#[derive(Clone, Debug)]
enum Order {
    Insert(u8, u16),
    GetOrInsert(u8, u16),
    Remove(u8),
    Change(u8, u16),
    PopLast,
    KeepEven,
    Clear,
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let order = prop_oneof![
        8 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Order::Insert(key, value)),
        2 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Order::GetOrInsert(key, value)),
        4 => any::<u8>().prop_map(Order::Remove),
        2 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Order::Change(key, value)),
        1 => Just(Order::PopLast),
        1 => Just(Order::KeepEven),
        1 => Just(Order::Clear),
    ];
    prop::collection::vec(order, 0..200)
}

proptest! {
    #[test]
    fn a_map_does_what_the_standard_library_s_does(orders in orders()) {
        let mut map = Map::new();
        let mut model = BTreeMap::new();
        for order in orders {
            match order {
                Order::Insert(key, value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                Order::GetOrInsert(key, value) => {
                    prop_assert_eq!(map.get_or_insert_with(key, || value), model.entry(key).or_insert(value));
                }
                Order::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                Order::Change(key, value) => {
                    prop_assert_eq!(map.get(&key), model.get(&key));
                    prop_assert_eq!(map.contains_key(&key), model.contains_key(&key));
                    if let (Some(ours), Some(theirs)) = (map.get_mut(&key), model.get_mut(&key)) {
                        (*ours, *theirs) = (value, value);
                    }
                }
                Order::PopLast => prop_assert_eq!(map.pop_last(), model.pop_last()),
                Order::KeepEven => {
                    map.retain(|_, value| value.is_multiple_of(2));
                    model.retain(|_, value| value.is_multiple_of(2));
                }
                Order::Clear => {
                    map.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(map.is_empty(), model.is_empty());
            prop_assert_eq!(map.last_key_value(), model.last_key_value());
            prop_assert!(map.iter().eq(&model));
            prop_assert!(map.iter().rev().eq(model.iter().rev()));
        }
        prop_assert!(map.keys().eq(model.keys()));
        prop_assert!(map.values().eq(model.values()));
        map.values_mut().for_each(|value| *value /= 2);
        model.values_mut().for_each(|value| *value /= 2);
        prop_assert!(map.into_iter().eq(model));
    }

    #[test]
    fn a_set_does_what_the_standard_library_s_does(added in prop::collection::vec(any::<u8>(), 0..100), removed: [u8; 20]) {
        let mut set: Set<u8> = added.iter().copied().collect();
        let mut model: BTreeSet<u8> = added.iter().copied().collect();
        for element in removed {
            prop_assert_eq!(set.contains(&element), model.contains(&element));
            prop_assert_eq!(set.remove(&element), model.remove(&element));
            prop_assert_eq!(set.insert(element / 2), model.insert(element / 2));
        }
        prop_assert_eq!(set.len(), model.len());
        prop_assert!(set.iter().eq(&model));
        prop_assert!(set.into_iter().eq(model));
    }
}

#[test]
fn of_several_values_of_one_key_the_last_is_collected() {
    let map: Map<_, _> = [(2, 'a'), (1, 'b'), (2, 'c')].into_iter().collect();
    assert_eq!(format!("{map:?}"), "{1: 'b', 2: 'c'}");
}

#[test]
fn a_short_list_is_sorted_and_equal_entries_keep_their_order() {
    let mut entries = [(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd'), (1, 'e'), (0, 'f')];
    insertion_sort(&mut entries, |entry| entry.0);
    assert_eq!(entries, [(0, 'f'), (1, 'b'), (1, 'e'), (2, 'd'), (3, 'a'), (3, 'c')]);
    insertion_sort::<u8, u8>(&mut [], |entry| *entry);
}
