//! What does a question cost by now, and what is known of it from earlier?
//!
//! A price follows from what its permit has spent. It is looked up when the question comes in, which finds what the permit
//! has bought already, and again when its place is there: others may have taken from the same budget meanwhile. From that
//! look to the durable charge the permit's questions go one at a time, so that none is charged, or refused, at a price of
//! before.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::info_span;

use super::{
    Gateway,
    answer::Asking,
    blocking,
    deadline::Deadline,
    failed,
    halt::denied,
    kept::{self, Before, Own},
    replay,
    world::Dataset,
};
use crate::{
    privacy::{Analysis, Offer, Plan},
    record::{Admission, BooksFault, Bought, Permit, Reservation},
    terms::{CapName, Charge, Loss, Refusal},
};

/// Held by whoever is next; all others of its name wait for it.
pub(super) type Turn = Arc<tokio::sync::Mutex<()>>;

/// One turn for each name that somebody holds or waits for.
pub(super) struct Turns<K>(Mutex<HashMap<K, Turn>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Turns<K> {
    pub(super) fn of(&self, name: K) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(name).or_default())
    }
}

/// A question that may be asked, with all that its price follows from but for what is spent.
pub(super) struct Wanted<'a> {
    pub(super) asking: &'a Asking<'a>,
    pub(super) permit: &'a Permit,
    pub(super) dataset: &'a Dataset,
    pub(super) sql: &'a str,
    pub(super) policy_hash: String,
    pub(super) analysis: Analysis,
    pub(super) deadline: Deadline,
    /// Of what is computed, on which data, by which program: under it answers are kept.
    pub(super) key: [u8; 32],
}

/// A question at its price.
pub(super) struct Priced {
    spent: Loss,
    pub(super) plan: Plan,
    pub(super) charge: Charge,
    pub(super) admission: Admission,
    pub(super) before: Before,
}

/// What a question comes to when its place is there.
pub(super) enum Reserved {
    /// Charged, durably, with what was known of it from earlier.
    Charged(Plan, Reservation, Before),
    /// At today's price what the permit has serves, for nothing.
    Own(Priced, Own),
}

impl Gateway {
    /// What the asker offers, against what their permit has spent by now.
    pub(super) async fn offer(&self, asking: &Asking<'_>, permit: &Permit) -> Result<Offer, Refusal> {
        let (books, cap) = (self.books.clone(), CapName::Permit(permit.id.clone()));
        let balance = blocking(move || books.budget(&cap)).await?.map_err(|fault| failed(&fault))?;
        Ok(Offer {
            epsilon: asking.settings.epsilon.unwrap_or(permit.per_question_epsilon),
            accuracy: asking.settings.accuracy,
            cap: permit.cap,
            spent: balance.map(|b| b.committed).unwrap_or_else(Loss::zero),
        })
    }

    /// The question at today's price.
    pub(super) async fn priced(&self, wanted: &Wanted<'_>) -> Result<Priced, Refusal> {
        let offer = self.offer(wanted.asking, wanted.permit).await?;
        self.priced_at(wanted, offer).await
    }

    async fn priced_at(&self, wanted: &Wanted<'_>, offer: Offer) -> Result<Priced, Refusal> {
        let Wanted { asking, permit, dataset, deadline, .. } = wanted;
        let plan = info_span!("price").in_scope(|| wanted.analysis.clone().price(&offer))?;
        let charge = Charge {
            account: asking.principal.account().clone(),
            permit: permit.id.clone(),
            dataset: permit.dataset.clone(),
            population: dataset.config.population.clone(),
            loss: plan.loss().clone(),
            draws: u32::try_from(plan.priced().mechanisms.len()).map_err(|_| Refusal::Failed { entry: None })?,
        };
        let admission = Admission {
            sql: wanted.sql.to_owned(),
            canonical_hash: wanted.key,
            data_version: dataset.version.as_ref().map(|v| v.number).ok_or(Refusal::PermitNotActive)?,
            policy_hash: wanted.policy_hash.clone(),
            purpose: permit.purpose.clone(),
            settings: replay::facts(asking.scene, asking.principal, Some((&offer.spent, deadline))),
        };
        let before = self.asked_before(wanted, &plan).await?;
        Ok(Priced { spent: offer.spent, plan, charge, admission, before })
    }

    /// Takes the price from all caps that have to bear it; a new price, where the permit has spent since `priced`.
    ///
    /// # Errors
    /// The [`Refusal`] of the budget that cannot bear it, or of a halt.
    pub(super) async fn reserve(&self, wanted: &Wanted<'_>, mut priced: Priced) -> Result<Reserved, Refusal> {
        let turn = self.charging.of(wanted.permit.id.clone());
        let _alone = turn.lock().await;
        let offer = self.offer(wanted.asking, wanted.permit).await?;
        if offer.spent != priced.spent {
            priced = self.priced_at(wanted, offer).await?;
        }
        if let Before::Own(own) = &priced.before {
            let own = own.clone();
            return Ok(Reserved::Own(priced, own));
        }
        let Priced { plan, charge, admission, before, .. } = priced;
        let (books, known) = (self.books.clone(), before.clone());
        let reservation = blocking(move || known.reserve(&books, charge, admission)).await?.map_err(denied)?;
        Ok(Reserved::Charged(plan, reservation, before))
    }

    /// What is known of this question from earlier: what this permit has bought and is at least as good, or how it failed for
    /// it in the same time; else what another one has bought with the very noise that this question would draw. An answer of
    /// others with any other noise is not looked at: served, it would tell that somebody asked, and be worth more than its price.
    async fn asked_before(&self, asked: &Wanted<'_>, plan: &Plan) -> Result<Before, Refusal> {
        let (books, permit, key, wanted) = (self.books.clone(), asked.permit.id.clone(), asked.key, plan.half_widths());
        let (milliseconds, hurried) = (asked.deadline.milliseconds(), asked.deadline.is_hurried());
        let mechanisms = kept::mechanisms(plan).to_string();
        // Asked for in a budget, an answer that this permit bought for as much serves, whatever noise that budget buys by now.
        let budget = asked.asking.settings.accuracy.is_none().then_some(plan.priced().epsilon);
        let serves = move |had: &[f64], bought: Bought<'_>| match bought {
            Bought::Here(bought) => {
                let as_dear = bought.zip(budget).is_some_and(|(bought, budget)| bought >= budget * (1.0 - 1e-9));
                let as_close = had.iter().zip(&wanted).all(|(had, wanted)| *had <= wanted * (1.0 + 1e-9));
                as_dear || (had.len() == wanted.len() && as_close)
            }
            Bought::Elsewhere(drawn) => drawn == mechanisms && !hurried,
        };
        let found = blocking(move || {
            let found = books.kept(&key, &permit, serves)?.map(|kept| Before::of(kept, &permit));
            if let Some(Before::Own(own)) = found {
                return Ok::<_, BooksFault>(Before::Own(own));
            }
            let failure = books.kept_failure(&key, milliseconds, &permit)?;
            let failure = failure.map(|entry| Before::Own(Own::Failure(entry)));
            Ok(failure.or(found).unwrap_or(Before::Never))
        });
        found.await?.map_err(|fault| failed(&fault))
    }
}
