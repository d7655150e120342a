//! What exactly will be computed, noised and charged for this question?

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    num::NonZeroUsize,
    ops::Range,
};

use datafusion::{
    arrow::array::RecordBatch,
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan},
};
use sha2::{Digest, Sha256};

use super::{
    Asked, Bounds, Exact, Filled, Mechanism, NoiseFault, Offer, Passed, Priced, Release, canonical, checked, display,
    expression::BUILT_BYTES_MAX,
    group_keys, intervals, noise, output, placeholder,
    price::{self, Target},
    typing::{Typed, Walk, mixed},
};
use crate::{
    sql::Question,
    terms::{Loss, Refusal},
};

/// A typed question: cut at its release points, every contribution bounded, not yet priced.
#[must_use]
#[derive(Debug, Clone)]
pub struct Analysis {
    releases: Vec<Release>,
    public_inputs: Vec<LogicalPlan>,
    finish: LogicalPlan,
    passed: Vec<Option<Passed>>,
    population_max: u64,
}

/// A priced question: the only thing that can be reserved for and executed. Nobody else can make one:
/// ```compile_fail,E0451
/// use sekisho::privacy::{Analysis, Plan, Priced};
/// fn forge(analysis: Analysis, priced: Priced) -> Plan {
///     Plan { analysis, priced }
/// }
/// ```
/// and an [`Analysis`] that is not priced is none:
/// ```compile_fail,E0308
/// use sekisho::privacy::{Analysis, Exact, Noisy, add_noise};
/// fn cheap(analysis: &Analysis, exact: Vec<Exact>, threads: std::num::NonZeroUsize) {
///     let _ = add_noise(analysis, Noisy::none(), exact, threads);
/// }
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Plan {
    analysis: Analysis,
    priced: Priced,
}

/// What may be shown: one batch per release, noised. What was not noised does not become it:
/// ```compile_fail,E0451
/// use datafusion::arrow::array::RecordBatch;
/// fn forge(releases: Vec<RecordBatch>) -> sekisho::privacy::Noisy {
///     sekisho::privacy::Noisy { releases }
/// }
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Noisy {
    releases: Vec<RecordBatch>,
}

/// Hashes a plan by its structure, not by its text: a text would let a literal or an alias pass for a piece of plan.
struct Core(Sha256);

impl Hasher for Core {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Nobody asks: the digest is taken whole.
        0
    }
}

/// Types `question` and bounds what each person adds to it.
///
/// # Errors
/// [`Refusal`] with the fix for every step or expression that the analyser does not know to be safe.
pub fn analyze(question: &Question, asked: &Asked, bounds: &Bounds) -> Result<Analysis, Refusal> {
    short_texts(question.plan())?;
    group_keys::forget();
    let mut walk = Walk::new(bounds, asked);
    let released = match walk.node(question.plan())? {
        Typed::Released(plan) => plan,
        Typed::Owned(_) => return Err(Refusal::RowsNotReleased),
        Typed::Reference(_) => {
            return Err(mixed("reference tables are never answered alone; join them to a table of persons"));
        }
        Typed::Public(_) => return Err(mixed("a public question needs no release")),
    };
    few_steps(walk.releases.iter().map(|r| &r.input).chain(&walk.public_inputs).chain([&released]))?;
    let released = match asked.non_negative {
        true => display::non_negative(released, &walk.releases)?,
        false => released,
    };
    let (finish, passed) = intervals::close(released, &walk.releases, asked.intervals)?;
    let finish = checked::checked(finish)?;
    Ok(Analysis {
        releases: walk.releases,
        public_inputs: walk.public_inputs,
        finish,
        passed,
        population_max: bounds.population_max,
    })
}

/// What a question writes out may come to stand on every row of a person: it is as short as what it may build.
fn short_texts(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut longest = 0;
    let _ = plan.apply_with_subqueries(|step| {
        step.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::Literal(value, _) = e {
                    let text = value.try_as_str().flatten().map_or(0, str::len);
                    longest = longest.max(text);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    match u64::try_from(longest).is_ok_and(|bytes| bytes <= BUILT_BYTES_MAX) {
        true => Ok(()),
        false => Err(Refusal::TooComplex {
            limit: format!(
                "a text in a question about persons has at most {BUILT_BYTES_MAX} bytes; join a list instead"
            ),
        }),
    }
}

/// Steps that the rewriting may make of the steps asked.
const STEPS_MAX: usize = 8192;

/// What a rewriting puts into a plan twice, such as a side that is counted before it is joined, doubles at each level:
/// this is the first that walks the whole, and it stops at the limit.
fn few_steps<'p>(plans: impl Iterator<Item = &'p LogicalPlan>) -> Result<(), Refusal> {
    let mut steps = 0;
    for plan in plans {
        let _ = plan.apply_with_subqueries(|_| {
            steps += 1;
            Ok(if steps > STEPS_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
    }
    match steps > STEPS_MAX {
        true => {
            Err(Refusal::TooComplex { limit: "fewer joins of persons, or fewer subqueries inside one another".into() })
        }
        false => Ok(()),
    }
}

impl Analysis {
    /// The release points, in the order in which placeholders number them.
    #[must_use]
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The public parts below them, evaluated beforehand.
    #[must_use]
    pub fn public_inputs(&self) -> &[LogicalPlan] {
        &self.public_inputs
    }

    /// The releases in the order in which they are made. Those of a later stage read noised values of earlier ones, as
    /// `WHERE age > (SELECT AVG(age) FROM ...)` does; so their input is known only then. All are charged beforehand, at
    /// prices that depend on no value: that is adaptive composition, which the privacy filter covers.
    #[must_use]
    pub fn stages(&self) -> Vec<Range<usize>> {
        let mut stages: Vec<Range<usize>> = vec![];
        for (index, release) in self.releases.iter().enumerate() {
            let read = self.releases_read(&release.input);
            match stages.last_mut() {
                Some(stage) if !read.iter().any(|read| *read >= stage.start) => stage.end = index + 1,
                _ => stages.push(index..index + 1),
            }
        }
        stages
    }

    /// The public parts that `plan` reads.
    #[must_use]
    pub fn inputs_of(&self, plan: &LogicalPlan) -> BTreeSet<usize> {
        let read = placeholder::read(plan).into_iter();
        read.filter_map(|filled| if let Filled::PublicInput(index) = filled { Some(index) } else { None }).collect()
    }

    /// The releases that `plan` reads, by itself or through a public part.
    #[must_use]
    pub fn releases_read(&self, plan: &LogicalPlan) -> BTreeSet<usize> {
        let inputs = self.inputs_of(plan);
        let parts = inputs.iter().filter_map(|index| self.public_inputs.get(*index)).chain([plan]);
        let read = parts.flat_map(placeholder::read);
        read.filter_map(|filled| if let Filled::Release(index) = filled { Some(index) } else { None }).collect()
    }

    /// What is done with the released values: post-processing over placeholders.
    #[must_use]
    pub fn finish(&self) -> &LogicalPlan {
        &self.finish
    }

    /// For each column of the answer, the noisy output that it passes on.
    #[must_use]
    pub fn passed(&self) -> &[Option<Passed>] {
        &self.passed
    }

    /// The declared size of the population.
    #[must_use]
    pub fn population_max(&self) -> u64 {
        self.population_max
    }

    /// The private core as a hash: what is computed and under which bounds; neither names, order, HAVING, LIMIT nor
    /// price of the answer. `context` is what else gives it its meaning: versions, epoch, settings.
    #[must_use]
    pub fn core(&self, context: &[&str]) -> [u8; 32] {
        let mut core = Core(Sha256::new());
        context.hash(&mut core);
        self.population_max.hash(&mut core);
        self.public_inputs.len().hash(&mut core);
        self.public_inputs.iter().for_each(|input| canonical::hash(input, &mut core));
        for release in &self.releases {
            canonical::hash(&release.input, &mut core);
            release.public_groups.hash(&mut core);
            // What a kept batch has columns for.
            release.says_who_stands_out().hash(&mut core);
            (release.keys, release.rows_per_group, release.groups_max).hash(&mut core);
            (release.dataset.as_str(), release.population.as_str()).hash(&mut core);
            // Numbers and enum names only: no text of the caller's stands in here.
            format!("{:?}{:?}", release.partials, release.outputs).hash(&mut core);
        }
        core.0.finalize().into()
    }

    /// Decides noise and loss for the offer.
    ///
    /// # Errors
    /// As [`price::price`].
    pub fn price(self, offer: &Offer) -> Result<Plan, Refusal> {
        let priced = price::price(&self.releases, offer)?;
        Ok(Plan { analysis: self, priced })
    }
}

impl Plan {
    /// What is computed.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// All mechanisms, each drawn once.
    #[must_use]
    pub fn priced(&self) -> &Priced {
        &self.priced
    }

    /// What the question costs.
    #[must_use]
    pub fn loss(&self) -> &Loss {
        &self.priced.loss
    }

    /// The 95 % half-widths of all mechanisms: how accurate an answer at this price is.
    #[must_use]
    pub fn half_widths(&self) -> Vec<f64> {
        self.priced.mechanisms.iter().map(|m| m.half_width + m.threshold.map_or(0.0, super::facts::to_f64)).collect()
    }
}

impl Noisy {
    /// Nothing, before the first stage.
    pub fn none() -> Self {
        Self { releases: vec![] }
    }

    /// The released batches, in the order of the releases.
    #[must_use]
    pub fn releases(&self) -> &[RecordBatch] {
        &self.releases
    }

    /// Batches that were released before and kept: noise is already in them.
    pub fn kept(releases: Vec<RecordBatch>) -> Self {
        Self { releases }
    }
}

/// Draws the mechanisms of one stage over the exact sums of its releases: those that follow `earlier`. Many cells are
/// drawn on so many `threads` side by side, whatever is in them.
///
/// # Errors
/// [`NoiseFault`] where a mechanism fails or the shapes do not agree; never a value.
pub fn add_noise(plan: &Plan, earlier: Noisy, exact: Vec<Exact>, threads: NonZeroUsize) -> Result<Noisy, NoiseFault> {
    let mut noisy = earlier;
    for exact in exact {
        let index = noisy.releases.len();
        let release = plan.analysis.releases.get(index).ok_or(NoiseFault::Shape)?;
        let mechanisms: Vec<&Mechanism> = plan.priced.mechanisms.iter().filter(|m| m.release == index).collect();
        let noised = noise::draw(exact, &release.partials, &mechanisms, threads)?;
        let drawn = mechanisms.iter().filter(|m| matches!(m.target, Target::Partial(_) | Target::Selection)).count();
        // INVARIANT: every mechanism that was charged for this release was drawn, and no other.
        if drawn != mechanisms.len() {
            return Err(NoiseFault::Shape);
        }
        noisy.releases.push(output::batch(release, noised, &mechanisms)?);
    }
    Ok(noisy)
}
