//! Objects of listings that are no text, or JSON of a kind that not every reader takes.

use super::{
    listings::{answer_bytes, content, listed},
    verify,
};
use crate::support::{Installation, JANE, Keboola, MIRROR, Options, PETR, until};
use fake_keboola::{Fault, FaultKind};
use serde_json::Value;

/// Stands where a byte is to be that is not UTF-8.
const ODD: &str = "(odd)";
/// Stands in the place of half of a surrogate pair.
const HALF: &str = "(half)";
/// Stands in the place of lists in lists: of so many as readers take, and of more.
const NESTED: [(&str, usize); 2] = [("(nested)", 150), ("(nested deeper)", 300)];

/// Puts into a listing's text what stands where there is a word for it.
fn broken(text: &str) -> Vec<u8> {
    let mut text = text.replace(HALF, "\\ud800");
    for (word, depth) in NESTED {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        text = text.replace(&format!("\"{word}\""), &lists);
    }
    let mut bytes = Vec::new();
    for (at, part) in text.split(ODD).enumerate() {
        if at > 0 {
            bytes.push(0xff);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

/// Has the fake answer with its listings, and with some configurations by themselves, as they are when words are replaced.
async fn break_texts(keboola: &Keboola, configs: &[&str]) {
    let branch = format!("/v2/storage/branch/{}", keboola.main());
    let shop = format!("{branch}/components/keboola.ex-shop/configs");
    for config in configs {
        let path = format!("{shop}/{config}");
        let text = listed(keboola, &path).await;
        answer_bytes(keboola, path, broken(&text));
    }
    for (name, include) in [
        ("components", "configuration,rows"),
        ("tables", "buckets,columns,metadata,columnMetadata"),
        ("buckets", "metadata,linkedBuckets"),
    ] {
        let path = format!("{branch}/{name}");
        let text = listed(keboola, &format!("{path}?include={include}")).await;
        // Others by themselves are as they are.
        keboola.fail(Fault {
            path: format!("{path}/"),
            times: u32::MAX,
            kind: FaultKind::Slow(std::time::Duration::ZERO),
        });
        let text = match name {
            // The first of each: something in it, and not its id.
            "tables" => text.replacen("\"name\":\"orders\"", &format!("\"name\":\"{ODD}\""), 1),
            "buckets" => text.replacen("\"displayName\":\"", &format!("\"displayName\":\"{ODD}"), 1),
            _ => text,
        };
        answer_bytes(keboola, path, broken(&text));
    }
}

/// Returns the objects that are withheld, and why.
fn withheld(lane: &Value) -> Vec<(&str, &str)> {
    let all = lane["withheld"].as_array().into_iter().flatten();
    all.filter_map(|entry| Some((entry["object"].as_str()?, entry["reason"].as_str()?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_text_is_withheld_alone_and_its_neighbours_are_mirrored() {
    let keboola = Keboola::small();
    let ids = ["odd", "half", "nested", "deeper"];
    for (id, word) in ids.into_iter().zip([ODD, HALF, NESTED[0].0, NESTED[1].0]) {
        let at = keboola.create(id, id, JANE);
        keboola.set(&at, JANE, "word", word);
    }
    break_texts(&keboola, &ids).await;
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let main = keboola.main();
    let lane = server.lane(&main).await;
    let odd = "the source cannot be read: it has bytes that are not UTF-8; replace them in Keboola";
    let deep = "the source cannot be read: not well-formed JSON: nested deeper than 256 levels at byte 540";
    let expected = [
        ("bucket in.c-shop", odd),
        ("keboola.ex-shop/deeper", deep),
        ("keboola.ex-shop/odd", odd),
        ("table in.c-shop.orders", odd),
    ];
    assert_eq!(withheld(&lane), expected, "{lane}");
    assert_eq!(lane["outage"], Value::Null, "{lane}");
    let listed = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .expect("it is there");
    let named = |object: &str| listed.contains(&format!("\"object\":\"{object}\""));
    assert!(expected.iter().all(|(object, _)| named(object)), "{listed}");
    let file = |id: &str| {
        let path = format!("configs/main/extractor/keboola.ex-shop/{id}/config.json");
        site.repository.file("main", &path)
    };
    assert!(file("the-orders").is_some() && file("nested").is_some());
    assert!(
        file("half").is_some_and(|text| text.contains("\"word\": \"\u{fffd}\"")),
        "as in the CLI"
    );
    assert!(
        site.repository
            .file("main", "storage/metadata/in.c-shop/wide.json")
            .is_some()
    );
    assert_eq!((file("odd"), file("deeper")), (None, None));

    keboola.heal();
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    until("all is mirrored", async || {
        (verify(&site) == Some(0)).then_some(())
    })
    .await;
    let before = content(&site);
    let odd_before = file("odd");
    assert!(odd_before.is_some());

    // What is mirrored stays, and what else happens is mirrored.
    break_texts(&keboola, &["odd"]).await;
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    let lane = until("it is withheld again", async || {
        let lane = server.lane(&main).await;
        (lane["state"] == "in sync" && !withheld(&lane).is_empty()).then_some(lane)
    })
    .await;
    assert_eq!(lane["outage"], Value::Null, "{lane}");
    let gone: Vec<String> = content(&site)
        .into_keys()
        .filter(|path| !before.contains_key(path))
        .collect();
    assert_eq!((content(&site).len(), gone), (before.len(), Vec::new()));
    assert_eq!(file("odd"), odd_before);
    keboola.set(&keboola.clean(), PETR, "note", "x");
    site.settle(&mut server).await;
    assert!(site.repository.holds("\"note\": \"x\""));
    assert_eq!(file("odd"), odd_before);
    server.stop().await;
    site.repository.fsck();
}
