//! Do picked candidates keep the loss that they are charged with, and are they near what was asked for?
//!
//! Black box, as in `mechanisms.rs`: analysis, price and noise as in a question, over exact histograms made by hand.

use std::{sync::Arc, time::Instant};

use datafusion::arrow::{
    array::{ArrayRef, AsArray, Int64Array},
    datatypes::{DataType, Float64Type, Int64Type},
};
use sekisho::{
    privacy::{Asked, Bounds, Exact, Family, Histogram, Kind, Mechanism, Noisy, Offer, Plan, add_noise},
    terms::{Cap, GAUSSIAN, Loss, ORDERS, Refusal},
};

use super::{
    mechanisms::assert_indistinguishable,
    run::{THREADS, ask, cases, directory, say},
};

fn plan(sql: &str, asked: &Asked, epsilon: f64, cap: Cap, accuracy: Option<f64>) -> Result<Plan, Refusal> {
    let bounds = Bounds { work_rows_max: 65_536, cells_max: 1000, population_max: 100_000 };
    let analysis = ask(&directory(), sql, asked, &bounds)?;
    analysis.price(&Offer { epsilon, accuracy, cap, spent: Loss::zero() })
}

fn asked(rows: u32, groups: u32) -> Asked {
    Asked { rows_per_group: Some(rows), groups: Some(groups), ..Asked::default() }
}

fn cap(epsilon: f64) -> Cap {
    Cap::new(epsilon, 1e-6).unwrap()
}

/// One pick over one group whose histogram is `seen`; of a release without keys.
fn pick(plan: &Plan, seen: &Histogram) -> f64 {
    let release = &plan.analysis().releases()[0];
    let sums = release.partials.iter().map(|_| vec![0]).collect();
    let exact = Exact::seal(vec![], sums, vec![1]).with_histograms(vec![vec![seen.clone()]]);
    let noisy = add_noise(plan, Noisy::none(), vec![exact], THREADS).unwrap();
    let column = noisy.releases()[0].column(0);
    let column = datafusion::arrow::compute::cast(column, &DataType::Float64).unwrap();
    column.as_primitive::<Float64Type>().value(0)
}

fn only(plan: &Plan) -> &Mechanism {
    assert_eq!(plan.priced().mechanisms.len(), 1);
    &plan.priced().mechanisms[0]
}

#[test]
fn a_person_at_one_side_of_the_median_keeps_the_epsilon_charged() {
    for (family, epsilon, cap) in [(Family::PermuteAndFlip, 1.0, cap(1.0)), (Family::Exponential, 0.4, cap(50.0))] {
        let plan = plan("SELECT MEDIAN(minutes) FROM visit", &asked(2, 1), epsilon, cap, None).unwrap();
        let mechanism = only(&plan);
        assert_eq!(mechanism.family, family, "at {epsilon}");
        let base: Histogram = vec![(9, 512), (10, 512), (11, 512), (30, 512)];
        let mut more = base.clone();
        more[3].1 += 512;
        let draws = cases(60_000);
        let picks = |seen: &Histogram| (0..draws).map(|_| pick(&plan, seen) as i64).collect::<Vec<_>>();
        let (epsilon, delta) = match family {
            Family::PermuteAndFlip => (mechanism.loss.at(ORDERS.len() - 1), 0.0),
            _ => (mechanism.loss.epsilon(1e-3), 1e-3),
        };
        assert_indistinguishable(family.as_str(), &picks(&base), &picks(&more), epsilon, delta);
    }
}

#[test]
fn medians_and_protected_ends_are_near_the_truth_where_persons_are_many() {
    // 10,000 persons, evenly from 10 to 49.
    let rows: Histogram = (10..50).map(|bin| (bin, 250 * 256)).collect();
    let persons: Histogram = (10..50).map(|bin| (bin, 250)).collect();
    for (sql, seen, truth) in [
        ("SELECT MEDIAN(minutes) FROM visit", &rows, 29.5),
        ("SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY minutes) FROM visit", &rows, 45.5),
        ("SELECT approx_percentile_cont(minutes, 0.25) FROM visit", &rows, 19.5),
        ("SELECT MIN(minutes) FROM visit", &persons, 10.0),
        ("SELECT MAX(minutes) FROM visit", &persons, 49.0),
    ] {
        let plan = plan(sql, &asked(1, 1), 0.5, cap(1.0), None).unwrap();
        // An end where nobody is comes out with chance 0.05 at most.
        let picks: Vec<f64> = (0..40).map(|_| pick(&plan, seen)).collect();
        let near = picks.iter().filter(|picked| (**picked - truth).abs() <= 2.0).count();
        assert!(near >= 32, "{sql}: {picks:?} for {truth}");
    }
}

#[test]
fn the_noise_of_all_mechanisms_is_equal_relative_to_their_bounds() {
    let sql = "SELECT COUNT(*), AVG(cost), STDDEV(minutes), COUNT(DISTINCT code) FROM visit";
    for (epsilon, cap) in [(0.5, cap(0.5)), (0.1, cap(20.0))] {
        let plan = plan(sql, &asked(3, 1), epsilon, cap, None).unwrap();
        let of = |m: &Mechanism| m.scale / m.bound as f64;
        let all: Vec<f64> = plan.priced().mechanisms.iter().map(of).collect();
        assert!(all.len() >= 5, "{all:?}");
        assert!(all.iter().all(|one| (one / all[0] - 1.0).abs() < 1e-6), "{all:?}");
        let spent = plan.loss().at(plan.priced().order);
        let allowed = match plan.priced().order {
            GAUSSIAN => cap.share_of(epsilon).unwrap() * cap.budget(GAUSSIAN),
            order => Loss::pure(epsilon).unwrap().at(order),
        };
        assert!(spent <= allowed && spent > allowed * 0.98, "spent {spent} of {allowed}");
    }
}

#[test]
fn releases_with_more_groups_per_person_get_more_of_the_budget() {
    let both = "SELECT a.n, b.n FROM (SELECT COUNT(*) AS n FROM visit) AS a CROSS JOIN \
                (SELECT kind, COUNT(*) AS n FROM visit GROUP BY kind) AS b";
    let plan = plan(both, &asked(2, 4), 1.0, cap(1.0), None).unwrap();
    let [one, four] = plan.priced().mechanisms.as_slice() else { panic!("two mechanisms") };
    assert_eq!((one.groups, four.groups), (1, 4));
    assert!((one.scale / four.scale - 1.0).abs() < 1e-6, "{} and {}", one.scale, four.scale);
}

#[test]
fn the_accuracy_asked_for_is_met_for_the_least_loss() {
    for wanted in [5.0, 50.0, 400.0] {
        let plan = plan("SELECT kind, COUNT(*) FROM visit GROUP BY kind", &asked(2, 2), 1.0, cap(8.0), Some(wanted));
        let plan = plan.unwrap();
        let mechanism = only(&plan);
        assert!(mechanism.half_width <= wanted && mechanism.half_width > wanted * 0.9, "{mechanism:?}");
    }
    let none = plan("SELECT MEDIAN(minutes) FROM visit", &asked(2, 2), 1.0, cap(8.0), Some(5.0));
    assert!(matches!(none, Err(Refusal::UnknownSetting { .. })));
}

#[test]
fn picking_is_fast_enough_for_many_groups() {
    let plan = plan("SELECT code, MEDIAN(cost) FROM visit GROUP BY code", &asked(1, 1), 1.0, cap(1.0), None).unwrap();
    let release = &plan.analysis().releases()[0];
    let Kind::Histogram { candidates, .. } = &release.partials[0].kind else { panic!("no histogram") };
    let groups = 200_usize;
    let keys: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(0..groups as i64))];
    let seen: Histogram = (0..candidates.count() as u32).map(|bin| (bin, 256)).collect();
    let exact = Exact::seal(keys, vec![vec![0; groups]], vec![100_000; groups]);
    let start = Instant::now();
    let noisy =
        add_noise(&plan, Noisy::none(), vec![exact.with_histograms(vec![vec![seen; groups]])], THREADS).unwrap();
    let each = start.elapsed() / u32::try_from(groups).unwrap();
    assert_eq!(noisy.releases()[0].column(0).as_primitive::<Int64Type>().len(), groups);
    say(&format!("picks: {each:?} for one of {} candidates", candidates.count()));
}

#[test]
fn however_modest_an_accuracy_is_its_price_is_found() {
    let mut before = f64::INFINITY;
    for wanted in [1.0, 1e3, 1e5, 1e6, 1e12, 1e300] {
        let plan = plan("SELECT COUNT(*) FROM visit", &Asked::default(), 1.0, cap(1_000.0), Some(wanted)).unwrap();
        let priced = plan.priced();
        assert!(priced.mechanisms.iter().all(|m| m.half_width * m.unit <= wanted), "{wanted}");
        assert!(priced.epsilon <= before && priced.epsilon >= 1e-6, "{wanted}: {}", priced.epsilon);
        before = priced.epsilon;
    }
    assert!(before < 2e-6, "{before}");
}

#[test]
fn more_draws_than_are_priced_are_refused() {
    let sums: Vec<String> = (0..1_100).map(|n| format!("SUM(minutes + {n})")).collect();
    let refused = plan(&format!("SELECT {} FROM visit", sums.join(", ")), &Asked::default(), 1.0, cap(1.0), None);
    assert_eq!(refused.map(|_| ()).map_err(|refusal| refusal.code()), Err("too_complex"));
}
