//! Names of entries, from which goes what was found in a value.

use super::*;

/// Redacts a text in the first entry of an object and shows the names of all of its entries.
#[track_caller]
fn check_names(kind: IndexKind, names: &[(&str, &str)], found: &str, expected: &Expect) {
    let entries = names.iter().map(|(shard, key)| Entry {
        kind,
        shard: (*shard).to_owned(),
        key: (*key).to_owned(),
        value: serde_json::json!([found]).to_string(),
    });
    let rendered = Rendered {
        files: Vec::new(),
        entries: entries.collect(),
    };
    let (batch, withheld) = batch(vec![(config("1"), rendered)]);
    assert_eq!(draw_withheld(&withheld), "");
    let mut verdicts = no_findings(&batch.documents());
    verdicts[0] = literal(0, found);
    let (batch, withheld) = batch.redact(verdicts, &redaction(SecretsMode::Encrypted));
    let names = batch.judged.items.iter().flat_map(|item| &item.entries);
    let names: String = names
        .map(|entry| format!("{} {}\n", entry.shard, entry.key))
        .collect();
    expected.assert_eq(&(names + &draw_withheld(&withheld)));
}

#[test]
fn what_is_found_in_the_value_of_an_entry_goes_from_the_names_of_all() {
    let names = [
        ("table/in.c-x.k3y0-9f8e7d6c5b4a-zz", r#"<["c","1"]"#),
        ("storage/in.c-x", r#"={"table":"in.c-x.k3y0-9f8e7d6c5b4a-zz"}"#),
    ];
    check_names(
        IndexKind::Lineage,
        &names,
        "k3y0-9f8e7d6c5b4a-zz",
        &expect![[r#"
            table/in.c-x.[REDACTED:test:0] <["c","1"]
            storage/in.c-x ={"table":"in.c-x.[REDACTED:test:0]"}
        "#]],
    );
    check_names(
        IndexKind::Catalog,
        &[("storage/in.c-x-K3Y0-9F8E7D6C5B4A-ZZ", "a")],
        "k3y0-9f8e7d6c5b4a-zz",
        &expect![[r#"
            keboola.ex-db/1: the guard still found a secret (test) in an entry
        "#]],
    );
    // Met by chance.
    check_names(
        IndexKind::Catalog,
        &[("storage/in.c-orders", "orders")],
        "orders",
        &expect![[r#"
            storage/in.c-orders orders
        "#]],
    );
}
