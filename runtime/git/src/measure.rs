//! Temporary.
use crate::{testing::*, *};
use std::time::Instant;

#[test]
fn measure() {
    let mirror = Mirror::new();
    let mut s = String::new();
    // 2000 configs in 2000 directories, 3 files each.
    for n in 0..5000 {
        s.push_str(&format!(
            "commit refs/heads/main\nmark :{}\ncommitter A <a@b> {} +0000\ndata 2\nx\n\n",
            n + 1,
            1_600_000_000 + n
        ));
        if n == 0 {
            for c in 0..2000 {
                for f in 0..3 {
                    let t = format!("{c} {f}");
                    s.push_str(&format!(
                        "M 100644 inline main/extractor/comp{}/c{c}/f{f}.json\ndata {}\n{t}\n",
                        c % 20,
                        t.len()
                    ));
                }
            }
        } else {
            let t = format!("v{n}");
            s.push_str(&format!(
                "M 100644 inline main/extractor/comp{}/c{}/f0.json\ndata {}\n{t}\n",
                (n % 2000) % 20,
                n % 2000,
                t.len()
            ));
        }
        s.push('\n');
    }
    git_fed(mirror.remote.path(), &["fast-import", "--quiet"], s.as_bytes());
    let tip = mirror.remote.tip(&mirror.main).unwrap().unwrap();
    let scope = FetchScope::TreesOnly { commits_max: 1000 };
    for round in 0..3 {
        let at = Instant::now();
        let f = mirror.remote.fetch(tip, &mirror.store, scope).unwrap();
        println!("fetch {round}: {f:?} {:?}", at.elapsed());
    }
    let at = Instant::now();
    mirror.store.history(tip, 1000).unwrap();
    println!("history 1000: {:?}", at.elapsed());
    let mut worst = std::time::Duration::ZERO;
    let mut all = std::time::Duration::ZERO;
    for n in 0..100 {
        let tip = mirror.push("m", &[("main/extractor/comp1/c1/f1.json", &format!("{n}"))]);
        let at = Instant::now();
        let f = mirror.remote.fetch(tip, &mirror.store, scope).unwrap();
        let took = at.elapsed();
        if f.objects > 0 {
            println!("after push {n}: {f:?} {took:?}");
        }
        worst = worst.max(took);
        all += took;
    }
    println!("fetch after push: mean {:?} worst {worst:?}", all / 100);
    mirror.git(&["gc", "-q"]);
    let clone = mirror.directory.path().join("clone");
    git(mirror.directory.path(), &["clone", "-q", "remote.git", "clone"]);
    git(&clone, &["commit", "-q", "--allow-empty", "-m", "human"]);
    git(&clone, &["push", "-q"]);
    let tip = mirror.remote.tip(&mirror.main).unwrap().unwrap();
    let at = Instant::now();
    let f = mirror.remote.fetch(tip, &mirror.store, scope).unwrap();
    println!("after human: {f:?} {:?}", at.elapsed());
    let Mirror {
        directory,
        store,
        remote,
        ..
    } = mirror;
    drop(store);
    let store = Store::open_or_create(&directory.path().join("store")).unwrap();
    let at = Instant::now();
    let f = remote.fetch(tip, &store, scope).unwrap();
    println!("restart: {f:?} {:?}", at.elapsed());
    let store = Store::open_or_create(&directory.path().join("store2")).unwrap();
    let at = Instant::now();
    let f = remote
        .fetch(
            tip,
            &store,
            FetchScope::CommitsOnly {
                commits_max: 1_000_000,
            },
        )
        .unwrap();
    println!("all commits cold: {f:?} {:?}", at.elapsed());
}
