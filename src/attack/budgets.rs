//! Can more be had than the caps allow, or less be left to others than is theirs?

use std::sync::Arc;

use super::{
    Field, Finding,
    arena::{Arena, Wanted},
    asker::Asker,
    finding::Checks,
};
use crate::cli::{
    Stop,
    client::{Client, ClientFault},
};

/// The n-th of many different questions about the same people.
fn different(n: usize) -> String {
    format!("SELECT COUNT(*) AS n FROM person WHERE year_of_birth * 1000 > {}", 1_900_000 + 37 * n)
}

/// Asks for ever less until nothing at all is left.
async fn exhaust(asker: &Asker) -> Result<usize, Stop> {
    let (mut answered, mut n) = (0, 0);
    for epsilon in [4.0, 2.0, 1.0, 0.5, 0.1, 0.02] {
        loop {
            n += 1;
            match asker.ask_for(epsilon, &different(n)).await {
                Ok(_) => answered += 1,
                Err(ClientFault::Refused { code, .. }) if code == "budget_exhausted" => break,
                Err(fault) => return Err(fault.into()),
            }
            // A cap that bears this many is none.
            if answered > 5_000 {
                return Ok(answered);
            }
        }
    }
    Ok(answered)
}

/// When the data set has nothing left, nobody gets anything, under whatever name.
pub(super) async fn collusion(field: &mut Field) -> Result<Finding, Stop> {
    let [first, second, fresh] = [(); 3].map(|()| field.number());
    let arena = field.columns()?;
    let all = Wanted { epsilon: 8.0, analyst_epsilon: 8.0, ..Wanted::default() };
    arena.grant(&first, &all).await?;
    arena.grant(&second, &Wanted { who: &["trudy"], ..all.clone() }).await?;
    let mut checks = Checks::default();
    let answered = exhaust(&arena.asker("eve", &first)?).await? + exhaust(&arena.asker("trudy", &second)?).await?;
    // A new account on the old permit, a new permit, a new session, new words, a view of it.
    arena.grant(&fresh, &Wanted { who: &["mallory", "trudy"], ..all }).await?;
    for (who, permit) in [("mallory", &first), ("trudy", &second), ("mallory", &fresh), ("trudy", &fresh)] {
        let session = Asker::new(arena.sign_in(who).await?, permit)?;
        for (n, epsilon) in [(1, 1.0), (2, 0.1), (3, 0.03)] {
            let met = match session.ask_for(epsilon, &different(90_000 + n)).await {
                Ok(answer) if answer.cost() == 0.0 => "kept".into(),
                Ok(_) => "answered".into(),
                Err(ClientFault::Refused { code, .. }) => code,
                Err(fault) => return Err(fault.into()),
            };
            checks.that(met == "budget_exhausted", || format!("{who} under {permit}: {met}"));
        }
        let met = session.code("CREATE VIEW v AS SELECT * FROM person").await?;
        checks.that(met == "not_a_question", || format!("a view: {met}"));
    }
    for cap in ["dataset/demo", "population/jp"] {
        let spent = arena.spent(cap).await?;
        checks.that(spent <= 8.0 + 1e-6, || format!("{cap} has spent {spent} of 8"));
    }
    let mut found = Finding::checks("everything by three accounts under three permits, then again", checks);
    if found.note.is_empty() {
        found.note = format!("{answered} questions answered until the cap over everybody was used up");
    }
    Ok(found)
}

/// The same people under a second name share the population's cap, and never meet the first in one question.
pub(super) async fn second_name(field: &mut Field) -> Result<Finding, Stop> {
    let [first, second] = [(); 2].map(|()| field.number());
    let arena = field.columns()?;
    let all = Wanted { epsilon: 8.0, analyst_epsilon: 8.0, ..Wanted::default() };
    arena.grant(&first, &all).await?;
    arena.grant(&second, &Wanted { dataset: "again", ..all }).await?;
    let mut checks = Checks::default();
    exhaust(&arena.asker("eve", &first)?).await?;
    let before = arena.spent("population/jp").await?;
    let again = arena.asker("eve", &second)?;
    for epsilon in [4.0, 1.0, 0.1, 0.03] {
        let met = match again.ask_for(epsilon, "SELECT COUNT(*) AS n FROM again.person").await {
            Ok(_) => "answered".into(),
            Err(ClientFault::Refused { code, .. }) => code,
            Err(fault) => return Err(fault.into()),
        };
        checks.that(met == "budget_exhausted", || format!("the second name at epsilon {epsilon}: {met}"));
    }
    for sql in [
        "SELECT COUNT(*) AS n FROM demo.person a JOIN again.person b ON a.person_id = b.person_id",
        "SELECT COUNT(*) AS n FROM again.person WHERE person_id IN (SELECT person_id FROM demo.person)",
        "SELECT COUNT(*) AS n FROM demo.person UNION ALL SELECT COUNT(*) FROM again.person",
    ] {
        let met = again.code(sql).await?;
        checks.that(met != "answered" && met != "failed", || format!("two data sets in one question: {met}"));
    }
    let after = arena.spent("population/jp").await?;
    checks.that(before <= 8.0 + 1e-6 && after <= 8.0 + 1e-6, || format!("the population has spent {after} of 8"));
    Ok(Finding::checks("a second data set of the same population, after the first used up the cap", checks))
}

/// As many as fit one after the other fit at once, not one more.
pub(super) async fn at_once(field: &mut Field) -> Result<Finding, Stop> {
    let count = field.times(120, 1_000);
    let [together, single] = [(); 2].map(|()| field.number());
    let arena = field.with()?;
    let small = Wanted { epsilon: 1.0, analyst_epsilon: 1.0, ..Wanted::default() };
    arena.grant(&together, &small).await?;
    arena.grant(&single, &small).await?;
    let mut sessions = vec![];
    for n in 0..8 {
        let session = arena.sign_in(if n % 2 == 0 { "eve" } else { "mallory" }).await?;
        // By SET, since calls with headers of their own take turns within a session.
        session.set("sekisho.permit", &together).await?;
        session.set("sekisho.epsilon", "0.05").await?;
        sessions.push(Arc::new(session));
    }
    let ask = |n: usize, client: &Arc<Client>| {
        let client = Arc::clone(client);
        tokio::spawn(async move { client.query(&different(n)).await.map(drop) })
    };
    let all: Vec<_> = (0..count).zip(sessions.iter().cycle()).map(|(n, session)| ask(n, session)).collect();
    let (mut answered, mut busy, mut checks) = (0_usize, 0_usize, Checks::default());
    for one in all {
        match one.await.map_err(|_| Stop::Fault("a question was lost".into()))? {
            Ok(()) => answered += 1,
            Err(ClientFault::Refused { code, .. }) if code == "busy" => busy += 1,
            Err(ClientFault::Refused { code, .. }) => {
                checks.that(code == "budget_exhausted", || format!("refused with {code}"));
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    let eve = arena.asker("eve", &together)?;
    let rest = one_by_one(&eve, count).await?;
    let fit = one_by_one(&arena.asker("eve", &single)?, 2 * count).await?;
    // What is spent decides which noise a question takes, so the same budget may bear one more or less.
    let most = fit + fit / 10 + 1;
    checks.that(answered + rest <= most, || format!("{answered} at once and {rest} after it, {fit} one by one"));
    checks.that(fit > 0 && answered > 0, || format!("{answered} at once, {fit} one by one: nothing was tested"));
    let spent = eve.spent().await?.epsilon;
    checks.that(spent <= 1.0 + 1e-6, || format!("spent {spent} of 1"));
    let mut found = Finding::checks(format!("{count} different questions at once in eight sessions"), checks);
    found.times = count as u64;
    if found.note.is_empty() {
        found.note = format!("{answered} answered at once ({busy} busy), {rest} after it, {fit} fit one by one");
    }
    for session in sessions {
        if let Ok(client) = Arc::try_unwrap(session) {
            client.sign_out().await?;
        }
    }
    Ok(found)
}

/// How many questions of 0.05 a permit bears, numbered from `first`.
async fn one_by_one(asker: &Asker, first: usize) -> Result<usize, Stop> {
    for n in 0..10_000 {
        match asker.ask_for(0.05, &different(first + n)).await {
            Ok(_) => {}
            Err(ClientFault::Refused { code, .. }) if code == "budget_exhausted" => return Ok(n),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(10_000)
}

/// Somebody who wastes budgets wastes their own: refusals cost nothing, an analyst's share is theirs.
pub(super) async fn denial(field: &mut Field) -> Result<Finding, Stop> {
    let [shared, other] = [(); 2].map(|()| field.number());
    let arena: &Arena = field.with()?;
    arena.grant(&shared, &Wanted { epsilon: 1.0, analyst_epsilon: 0.5, ..Wanted::default() }).await?;
    arena.grant(&other, &Wanted { who: &["trudy"], ..Wanted::default() }).await?;
    let (eve, mallory, trudy) =
        (arena.asker("eve", &shared)?, arena.asker("mallory", &shared)?, arena.asker("trudy", &other)?);
    let mut checks = Checks::default();
    let before = [eve.budget().await?, trudy.budget().await?];
    for sql in [
        "SELECT * FROM person",
        "SELECT COUNT(*) FROM nothing",
        "SELECT AVG(value_as_number) FROM measurement",
        "SELECT",
        "SELECT COUNT(*) FROM person WHERE random() > 0",
    ] {
        let met = eve.code(sql).await?;
        checks.that(met != "answered", || format!("answered: {sql}"));
    }
    for epsilon in [5.0, 0.6] {
        let met = eve.ask_for(epsilon, &different(1)).await;
        checks.that(met.is_err(), || format!("epsilon {epsilon} was given where 0.5 is the share"));
    }
    checks.that(before[0] == eve.budget().await?, || "refusals cost".into());
    for (asker, epsilon, fits) in [(&eve, 0.4, true), (&eve, 0.4, false), (&mallory, 0.4, true), (&mallory, 0.4, false)]
    {
        // Each its own question: kept answers are free.
        let n = 10 + checks.done as usize;
        let answered = asker.ask_for(epsilon, &different(n)).await.is_ok();
        checks.that(answered == fits, || format!("epsilon {epsilon}: answered {answered}"));
    }
    checks.that(before[1] == trudy.budget().await?, || "another permit's budget moved".into());
    checks.that(trudy.ask_for(0.4, &different(99)).await.is_ok(), || "another permit is refused".into());
    Ok(Finding::checks("wasting by refused questions, by too large ones, by one of two analysts", checks))
}
