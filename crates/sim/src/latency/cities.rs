//! Nodes in real cities: a packet takes the great circle, as far as cables do.
//!
//! The round-trip time of two nodes is the access time of both, and twice their distance, times a stretch, at the speed of
//! light in glass. It is a model of a wide-area network on a quiet day: it knows no congestion, no time of day and no
//! triangle-inequality violations. Where its numbers come from:
//!
//! | number | value | source |
//! |---|---|---|
//! | speed in glass | 2/3 of light's | refractive index of fibre, about 1.47 |
//! | stretch | 1.4 to 2.6, by pair of nodes | median ping 3.2 times the time of light in a vacuum (Singla, Chandrasekaran, Godfrey, Maggs, "The Internet at the Speed of Light", HotNets 2014), of which glass is 1.5; the range around 2 is a guess |
//! | access, data centre | 0.5 to 2 ms of a round trip | a guess |
//! | access, home | 4 to 20 ms of a round trip | fibre and cable; a guess |
//! | least distance | 10 km | two nodes of one city do not share a desk; a guess |

use std::{net::Ipv4Addr, time::Duration};

use super::place;
use crate::{NodeId, map::fraction};

/// Kilometres a second in glass.
const GLASS: f64 = 299_792.458 / 1.5;

/// Least and greatest factor by which cables are longer than great circles.
const STRETCH: (f64, f64) = (1.4, 2.6);

/// Milliseconds of a round trip that a node's own access takes.
const ACCESS_CENTRE: (f64, f64) = (0.5, 2.0);
const ACCESS_HOME: (f64, f64) = (4.0, 20.0);

/// The earth's mean radius and the least distance, in kilometres.
const EARTH: f64 = 6371.0;
const NEAR: f64 = 10.0;

/// Networks of 65 536 addresses in one city.
const NETWORKS: usize = 8;

/// Name, region, degrees north, degrees east.
type City = (&'static str, &'static str, f64, f64);

#[rustfmt::skip]
const CITIES: [City; 48] = [
    ("Amsterdam", "eu", 52.37, 4.90), ("Berlin", "eu", 52.52, 13.41), ("Dublin", "eu", 53.35, -6.26),
    ("Frankfurt", "eu", 50.11, 8.68), ("Helsinki", "eu", 60.17, 24.94), ("London", "eu", 51.51, -0.13),
    ("Madrid", "eu", 40.42, -3.70), ("Milan", "eu", 45.46, 9.19), ("Paris", "eu", 48.86, 2.35),
    ("Stockholm", "eu", 59.33, 18.07), ("Vienna", "eu", 48.21, 16.37), ("Warsaw", "eu", 52.23, 21.01),
    ("Ashburn", "us", 39.04, -77.49), ("Atlanta", "us", 33.75, -84.39), ("Chicago", "us", 41.88, -87.63),
    ("Dallas", "us", 32.78, -96.80), ("Denver", "us", 39.74, -104.99), ("Los Angeles", "us", 34.05, -118.24),
    ("Miami", "us", 25.76, -80.19), ("New York", "us", 40.71, -74.01), ("San Jose", "us", 37.34, -121.89),
    ("Seattle", "us", 47.61, -122.33), ("Toronto", "us", 43.65, -79.38),
    ("Bangkok", "asia", 13.76, 100.50), ("Dubai", "asia", 25.20, 55.27), ("Hong Kong", "asia", 22.32, 114.17),
    ("Jakarta", "asia", -6.21, 106.85), ("Mumbai", "asia", 19.08, 72.88), ("Osaka", "asia", 34.69, 135.50),
    ("Seoul", "asia", 37.57, 126.98), ("Singapore", "asia", 1.35, 103.82), ("Taipei", "asia", 25.03, 121.57),
    ("Tokyo", "asia", 35.68, 139.69),
    ("Accra", "africa", 5.60, -0.19), ("Cairo", "africa", 30.04, 31.24), ("Cape Town", "africa", -33.92, 18.42),
    ("Johannesburg", "africa", -26.20, 28.05), ("Lagos", "africa", 6.52, 3.38), ("Nairobi", "africa", -1.29, 36.82),
    ("Bogota", "south-america", 4.71, -74.07), ("Buenos Aires", "south-america", -34.60, -58.38),
    ("Lima", "south-america", -12.05, -77.04), ("Santiago", "south-america", -33.45, -70.67),
    ("Sao Paulo", "south-america", -23.55, -46.63),
    ("Auckland", "oceania", -36.85, 174.76), ("Melbourne", "oceania", -37.81, 144.96),
    ("Perth", "oceania", -31.95, 115.86), ("Sydney", "oceania", -33.87, 151.21),
];

/// The regions, in the order of their cities.
pub const REGIONS: [&str; 6] = ["eu", "us", "asia", "africa", "south-america", "oceania"];

/// A world of cities.
#[derive(Clone, Debug)]
pub struct Cities {
    /// The cities in which nodes may stand.
    cities: Vec<City>,
    /// Distances in kilometres, row by row.
    distances: Vec<f64>,
}

impl Cities {
    /// All cities.
    pub fn world() -> Self {
        Self::of(CITIES.to_vec())
    }

    /// The cities of one region.
    ///
    /// # Panics
    ///
    /// If there is no such region in [`REGIONS`].
    pub fn region_of(region: &str) -> Self {
        let cities: Vec<_> = CITIES.into_iter().filter(|city| city.1 == region).collect();
        assert!(!cities.is_empty(), "no city lies in {region:?}; the regions are {REGIONS:?}");
        Self::of(cities)
    }

    fn of(cities: Vec<City>) -> Self {
        let distances = cities.iter().flat_map(|one| cities.iter().map(|other| distance(one, other))).collect();
        Self { cities, distances }
    }

    /// The region of a node.
    pub(crate) fn region(&self, seed: u64, id: NodeId) -> &'static str {
        self.cities[place(seed, id, self.cities.len())].1
    }

    pub(crate) fn host(&self, seed: u64, id: NodeId) -> Ipv4Addr {
        let city = place(seed, id, self.cities.len());
        // From 20.0 to 89.255, which no special use touches; 37 has no factor in common with that many networks.
        let network = (city * NETWORKS + id.0 % NETWORKS) * 37 % (70 * 256);
        let host = id.0 / NETWORKS + 1;
        Ipv4Addr::new(20 + (network / 256) as u8, (network % 256) as u8, (host / 256) as u8, (host % 256) as u8)
    }

    pub(crate) fn one_way(&self, seed: u64, (one, other): (NodeId, NodeId), homes: [bool; 2]) -> Duration {
        let count = self.cities.len();
        let distance = self.distances[place(seed, one, count) * count + place(seed, other, count)];
        let stretch = between(STRETCH, fraction((seed, one.0, other.0)));
        let access = |id: NodeId, home| {
            between(if home { ACCESS_HOME } else { ACCESS_CENTRE }, fraction((seed, id.0, "access")))
        };
        let access = access(one, homes[0]) + access(other, homes[1]);
        let round_trip = access + 2000.0 * distance * stretch / GLASS;
        Duration::from_secs_f64(round_trip / 2000.0)
    }
}

fn between((low, high): (f64, f64), fraction: f64) -> f64 {
    low + (high - low) * fraction
}

/// The great-circle distance (haversine formula).
fn distance(one: &City, other: &City) -> f64 {
    let (north, east) = ((other.2 - one.2).to_radians() / 2.0, (other.3 - one.3).to_radians() / 2.0);
    let chord = north.sin().powi(2) + one.2.to_radians().cos() * other.2.to_radians().cos() * east.sin().powi(2);
    (2.0 * EARTH * chord.sqrt().asin()).max(NEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_globe() {
        let city = |name: &str| CITIES.into_iter().find(|city| city.0 == name).expect("a city");
        // Published great-circle distances.
        for (one, other, km) in [("London", "New York", 5570.0), ("Sydney", "Santiago", 11_340.0)] {
            let is = distance(&city(one), &city(other));
            assert!((is / km - 1.0).abs() < 0.01, "{one} to {other}: {is} km");
        }
        assert_eq!(distance(&city("Paris"), &city("Paris")), NEAR);
    }

    #[test]
    fn a_region_is_near_and_the_world_is_not() {
        let round_trips = |cities: Cities| {
            let mut times: Vec<_> =
                (1..2000).map(|id| 2 * cities.one_way(3, (NodeId(0), NodeId(id)), [false; 2])).collect();
            times.sort();
            [times[1000], times[1900]]
        };
        let [median, most] = round_trips(Cities::region_of("eu"));
        assert!(median > Duration::from_millis(10) && most < Duration::from_millis(70), "{median:?} {most:?}");
        let [median, most] = round_trips(Cities::world());
        assert!(median > Duration::from_millis(80) && most < Duration::from_millis(500), "{median:?} {most:?}");
    }

    #[test]
    fn no_two_nodes_share_an_address() {
        let world = Cities::world();
        let hosts: std::collections::BTreeSet<_> = (0..100_000).map(|id| world.host(7, NodeId(id))).collect();
        assert_eq!(hosts.len(), 100_000);
    }
}
