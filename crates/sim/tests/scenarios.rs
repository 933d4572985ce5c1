//! Every scenario file holds at its small size with its first seed.

use openred_sim::{
    crowd::Population,
    scenario::{Scenario, run},
};

fn holds(file: &str, text: &str) {
    let scenario = Scenario::read(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let seed = scenario.seeds[0];
    let broken: Vec<_> = run(&scenario, scenario.small, seed).into_iter().flat_map(|held| held.broken).collect();
    assert!(broken.is_empty(), "{file}, seed {seed}: {}: {}", scenario.says, broken.join("; "));
}

macro_rules! scenarios {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                holds($file, include_str!(concat!("../scenarios/", $file, ".toml")));
            }
        )*

        #[test]
        fn every_file_is_run() {
            let listed = [$($file),*];
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
            for file in std::fs::read_dir(folder).expect("the folder is there") {
                let name = file.expect("it can be read").file_name().into_string().expect("a plain name");
                let name = name.trim_end_matches(".toml");
                assert!(listed.contains(&name), "{name} is run by no test");
            }
        }
    };
}

scenarios! {
    churn_fast = "churn-fast",
    churn_measured = "churn-measured",
    cut_halves = "cut-halves",
    cut_minority = "cut-minority",
    cut_thirds = "cut-thirds",
    flash_crowd = "flash-crowd",
    liars_closer = "liars-closer",
    liars_junk = "liars-junk",
    liars_replay = "liars-replay",
    liars_sybil = "liars-sybil",
    lossy_measured = "lossy-measured",
    mass_loss_best_connected = "mass-loss-best-connected",
    mass_loss_random = "mass-loss-random",
    mass_loss_regions = "mass-loss-regions",
    silent_third = "silent-third",
}

#[test]
fn a_scenario_says_what_is_wrong_with_it() {
    let small = "says = \"x\"\nseeds = [1]\n[full]\nrelays = 1\nproviders = 0\nfinders = 0\n[small]\nrelays = 1\nproviders = 0\nfinders = 0\n";
    let check = "[[check]]\nat = 0\nfinds = 1\nfound = 0\n";
    Scenario::read(&format!("{small}{check}")).expect("all is there");
    for (more, word) in [
        ("[[event]]\nat = 0\ndo = \"explode\"\n", "explode"),
        ("[[event]]\nat = 0\ndo = \"lose\"\n", "part"),
        ("[world]\nregion = \"atlantis\"\n", "atlantis"),
        ("[world]\nlosses = 1\n", "losses"),
    ] {
        let error = Scenario::read(&format!("{small}{more}{check}")).expect_err(more);
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_seed_tells_the_whole_story() {
    let text = include_str!("../scenarios/liars-junk.toml");
    let scenario = Scenario::read(text).expect("a scenario");
    let few = Population { relays: 12, providers: 6, finders: 4, settled: false };
    let told = || run(&scenario, few, 7).into_iter().map(|held| (held.told.found, held.told.took));
    assert!(told().eq(told()), "two runs of one seed differ");
    let other = run(&scenario, few, 8).into_iter().map(|held| (held.told.found, held.told.took));
    assert!(!told().eq(other), "two seeds do not differ");
}
