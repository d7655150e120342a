//! Does a permit open anything but what it says, to anybody but whom it names, at any time but its own?

use std::time::Duration;

use super::{Field, Finding, arena::Wanted, finding::Checks};
use crate::cli::Stop;

const SEX: &str = "SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY gender_concept_id";
const COUNT: &str = "SELECT COUNT(*) AS n FROM person WHERE gender_concept_id = 8507";

pub(super) async fn confusion(field: &mut Field) -> Result<Finding, Stop> {
    let [wide, narrow, rival, over, future, revoked] = [(); 6].map(|()| field.number());
    let arena = field.with()?;
    let mut checks = Checks::default();
    let grants = ["person:gender_concept_id:group", "person:year_of_birth:aggregate", "visit_occurrence"];
    arena.grant(&wide, &Wanted::default()).await?;
    arena.grant(&narrow, &Wanted { grants: &grants, ..Wanted::default() }).await?;
    arena.grant(&rival, &Wanted { who: &["trudy"], ..Wanted::default() }).await?;
    let soon = Some(Duration::from_millis(1_500));
    arena.grant(&over, &Wanted { lasting: soon, ..Wanted::default() }).await?;
    arena.grant(&future, &Wanted { from: Some("2090-01-01"), ..Wanted::default() }).await?;
    arena.grant(&revoked, &Wanted::default()).await?;

    // What the wide permit bought is kept; no other permit opens it.
    let eve = arena.asker("eve", &wide)?;
    for sql in [SEX, COUNT] {
        eve.ask(sql).await?;
    }
    let bought = arena.asker("eve", &revoked)?;
    bought.ask(SEX).await?;
    arena.revoke(&revoked).await?;
    tokio::time::sleep(Duration::from_millis(1_600)).await;

    let mut meet = vec![];
    // Columns of one permit under another, in every position and behind every name.
    for sql in [
        COUNT,
        "SELECT AVG(month_of_birth) AS n FROM person",
        "SELECT year_of_birth, COUNT(*) AS n FROM person GROUP BY year_of_birth",
        "SELECT COUNT(*) AS n FROM person WHERE year_of_birth > 1950",
        "SELECT COUNT(*) FILTER (WHERE year_of_birth > 1950) AS n FROM person",
        "SELECT AVG(gender_concept_id) AS n FROM person",
        "SELECT COUNT(*) AS n FROM measurement",
        "SELECT COUNT(*) AS n FROM visit_occurrence WHERE visit_concept_id = 9202",
        "SELECT g, COUNT(*) AS n FROM (SELECT person_id, year_of_birth AS g FROM person) q GROUP BY g",
        "WITH q AS (SELECT person_id, race_concept_id AS gender_concept_id FROM person) SELECT gender_concept_id, COUNT(*) FROM q GROUP BY 1",
        "SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY 1 HAVING AVG(month_of_birth) > 6",
        "SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY 1 ORDER BY MAX(day_of_birth)",
        "SELECT COUNT(*) AS n FROM person p JOIN measurement t ON t.person_id = p.person_id",
        "SELECT COUNT(*) AS n FROM person WHERE EXISTS (SELECT 1 FROM death d WHERE d.person_id = person.person_id)",
    ] {
        meet.push(("eve", &narrow, "not_granted", sql));
    }
    for (who, permit) in [("mallory", &rival), ("eve", &rival), ("trudy", &wide), ("trudy", &narrow)] {
        meet.push((who, permit, "permit_not_active", SEX));
    }
    for (who, permit) in [("eve", &over), ("eve", &future), ("eve", &revoked), ("mallory", &revoked)] {
        meet.push((who, permit, "permit_not_active", SEX));
    }
    let nobody = "P-NOBODY".to_owned();
    meet.push(("eve", &nobody, "permit_not_active", SEX));
    for who in ["reviewer", "auditor", "custodian", "operator"] {
        meet.push((who, &nobody, "role_not_allowed", SEX));
    }
    for (who, permit, code, sql) in meet {
        let met = arena.asker(who, permit)?.code(sql).await?;
        // Whoever may not ask at all is told so, or that the permit is not theirs.
        let turned_away = met == code || (code == "role_not_allowed" && met == "permit_not_active");
        checks.that(turned_away, || format!("{who} under {permit}: {met}, not {code}: {sql}"));
    }
    // The permit of the session and that of the call: the call's counts, and counts once.
    let session = arena.sign_in("eve").await?;
    session.set("sekisho.permit", &wide).await?;
    let confused = session.clone().with_setting("permit", &narrow)?.query(COUNT).await;
    checks.that(confused.is_err(), || "the session's permit answered for the call's".into());
    let twice = session.clone().with_setting("permit", &format!("{narrow},{wide}"));
    let answered = match twice {
        Ok(client) => client.query(COUNT).await.is_ok(),
        Err(_) => false,
    };
    checks.that(!answered, || "two permits in one header were taken".into());
    session.sign_out().await?;
    // What nobody may approve.
    for verb in ["permit.grant", "permit.revoke", "account.add", "account.grant", "data.activate", "audit.export"] {
        let done = arena.client("eve")?.administer(verb, serde_json::json!({})).await;
        checks.that(done.is_err(), || format!("an analyst did {verb}"));
    }
    // A permit that is narrow still opens what it says: or the refusals above mean nothing.
    for sql in [
        "SELECT gender_concept_id, AVG(year_of_birth) AS n FROM person GROUP BY gender_concept_id",
        "SELECT COUNT(*) AS n FROM visit_occurrence",
    ] {
        let met = arena.asker("eve", &narrow)?.code(sql).await?;
        checks.that(met == "answered", || format!("granted, and {met}: {sql}"));
    }
    Ok(Finding::checks("other permits' columns, expired, revoked, foreign and kept answers", checks))
}
