//! The Git engine beside its peers: the same work in the same run, the same tree in the end.
//!
//! `cargo bench -p mirror-git-benches --bench git [-- PART …]`; without `--bench`, which cargo adds, everything is small.

#![expect(clippy::print_stdout, reason = "a bench tells what it measured")]

use anyhow::{Context, Result, ensure};
use mirror_core::{batch::MirrorBatch, commit::GuardedMessage, ids::Oid};
use mirror_git::{Draft, LocalBare, PendingPush, RefName, Remote, Store};
use mirror_git_benches::{
    Cost, Random, batches, content,
    figures::{counted, measured},
    git, measure, message, path, peers,
};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

/// The product's, so that the engine has what it has there; gix has it too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type File = (String, String);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let full = args.iter().any(|arg| arg == "--bench");
    let parts: Vec<&str> = args
        .iter()
        .filter(|arg| !arg.starts_with('-'))
        .map(String::as_str)
        .collect();
    let size = |large: u64, small: u64| if full { large } else { small };
    let wants = |part: &str| parts.is_empty() || parts.contains(&part);
    if wants("bulk") {
        bulk(size(20_000, 200))?;
    }
    if wants("incremental") {
        incremental(size(100_000, 300), size(1000, 5))?;
    }
    if wants("flat") {
        flat(
            &if full {
                vec![1000, 10_000, 100_000, 1_000_000]
            } else {
                vec![50, 500]
            },
            size(100, 3),
        )?;
    }
    if wants("bytes") {
        bytes(size(50, 4))?;
    }
    Ok(())
}

/// A store and a bare repository to push to.
struct Engine {
    directory: TempDir,
    store: Store,
    remote: LocalBare,
    main: RefName,
    tip: Option<Oid>,
    pushes: u64,
}

impl Engine {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let main = RefName::branch("main")?;
        Ok(Self {
            store: Store::open_or_create(&directory.path().join("store"))?,
            remote: LocalBare::init(&directory.path().join("remote.git"), &main)?,
            directory,
            main,
            tip: None,
            pushes: 0,
        })
    }

    fn repository(&self) -> &Path {
        self.remote.path()
    }

    fn write(&self, draft: &mut Draft<'_>, parent: Option<Oid>, number: u64, files: &[File]) -> Result<Oid> {
        let base = parent.map(|parent| draft.tree_of(parent)).transpose()?;
        let mut writer = draft.tree_writer(base)?;
        for batch in batches(files, 64) {
            writer.write(batch)?;
        }
        let tree = writer.finish()?.tree;
        let parents: Vec<Oid> = parent.into_iter().collect();
        Ok(draft.commit(tree, &parents, &message(number))?)
    }

    fn deliver(&mut self, push: PendingPush) -> Result<()> {
        self.tip = Some(push.new_tip());
        self.store.save(&push)?;
        self.remote.push(&push)?;
        Ok(self.store.confirm(push)?)
    }

    /// Pushes one commit; returns how many bytes were sent.
    fn push(&mut self, files: &[File]) -> Result<u64> {
        self.pushes += 1;
        let mut draft = self.store.draft();
        let commit = self.write(&mut draft, self.tip, self.pushes, files)?;
        let push = draft.into_push(self.main.clone(), self.tip, commit)?;
        let sent = push.byte_len();
        self.deliver(push)?;
        Ok(sent)
    }

    /// Pushes one commit after the other, all at once.
    fn push_together(&mut self, commits: Vec<(Vec<MirrorBatch>, GuardedMessage)>) -> Result<()> {
        let old = self.tip;
        let mut draft = self.store.draft();
        let mut parent = old.context("a first commit")?;
        for (batches, message) in commits {
            parent = commit(&mut draft, parent, batches, &message)?;
        }
        let push = draft.into_push(self.main.clone(), old, parent)?;
        self.deliver(push)
    }

    /// Pushes one commit after the other, each on its own.
    fn push_each(&mut self, commits: Vec<(Vec<MirrorBatch>, GuardedMessage)>) -> Result<()> {
        commits
            .into_iter()
            .try_for_each(|one| self.push_together(vec![one]))
    }

    fn tree(&self) -> Result<String> {
        git(self.repository(), &["rev-parse", "main^{tree}"], b"")
    }
}

/// Others on the machine only add to what something takes, so it is done several times, in turns with its peers; so many
/// that it can be told where the median of a ratio lies.
const ROUNDS: usize = 8;

fn least(costs: &[Cost]) -> Cost {
    let least = costs.iter().min_by_key(|cost| cost.cpu);
    *least.expect("there is a round")
}

fn sum(costs: &[Cost]) -> Cost {
    let none = Cost {
        cpu: Duration::ZERO,
        wall: Duration::ZERO,
    };
    costs.iter().fold(none, |sum, cost| Cost {
        cpu: sum.cpu + cost.cpu,
        wall: sum.wall + cost.wall,
    })
}

/// Tells a figure: the processor's time of one by that of the other, in each round.
fn told(figure: &str, of: &[Cost], by: &[Cost]) {
    let ratio = |(of, by): (&Cost, &Cost)| of.cpu.as_secs_f64() / by.cpu.as_secs_f64().max(1e-9);
    measured(figure, &of.iter().zip(by).map(ratio).collect::<Vec<_>>());
}

fn project(files: u64, bytes: usize) -> Vec<File> {
    (0..files)
        .map(|number| (path(number, files), content(number, bytes)))
        .collect()
}

fn row(name: &str, cost: Cost, per: u64, reference: Cost) {
    let (cpu, wall) = (cost.cpu.as_secs_f64(), cost.wall.as_secs_f64());
    let ratio = cpu / reference.cpu.as_secs_f64().max(1e-9);
    let each = 1e3 / per as f64;
    println!(
        "  {name:<42} cpu {cpu:8.3} s  wall {wall:8.3} s  {:9.3} ms cpu each  {ratio:8.2} x",
        cpu * each
    );
}

fn bulk(files: u64) -> Result<()> {
    let project = project(files, 1000);
    let bytes: usize = project.iter().map(|(_, content)| content.len()).sum();
    println!("bulk: a snapshot of {files} files, {:.1} MB", bytes as f64 / 1e6);

    let stream = peers::fast_import(&project, None);
    let (mut ours, mut floors, mut imports) = (Vec::new(), Vec::new(), Vec::new());
    let mut tree = String::new();
    for _ in 0..ROUNDS {
        let ready = batches(&project, 64);
        let mut engine = Engine::new()?;
        let (sent, cost) = measure(|| {
            let mut draft = engine.store.draft();
            let mut writer = draft.tree_writer(None)?;
            for batch in ready {
                writer.write(batch)?;
            }
            let tree = writer.finish()?.tree;
            let commit = draft.commit(tree, &[], &message(1))?;
            let push = draft.into_push(engine.main.clone(), None, commit)?;
            let sent = push.byte_len();
            engine.deliver(push)?;
            Ok(sent)
        })?;
        tree = engine.tree()?;
        if ours.is_empty() {
            println!("  sent {:.1} MB", sent as f64 / 1e6);
            ensure!(
                git(engine.repository(), &["fsck", "--strict"], b"")?.is_empty(),
                "fsck finds something"
            );
        }
        ours.push(cost);
        floors.push(floor(&project)?);

        let directory = tempfile::tempdir()?;
        git(directory.path(), &["init", "--quiet", "--bare"], b"")?;
        let (_, cost) = measure(|| git(directory.path(), &["fast-import", "--quiet"], stream.as_bytes()))?;
        imports.push(cost);
        ensure!(
            git(directory.path(), &["rev-parse", "main^{tree}"], b"")? == tree,
            "git fast-import made another tree"
        );
    }
    told("git/bulk/fast_import_by_engine", &imports, &ours);
    told("git/bulk/engine_by_floor", &ours, &floors);
    let ours = least(&ours);
    row("engine, stored, pushed and durable", ours, files, ours);
    row(
        "floor: hash and deflate, nothing else",
        least(&floors),
        files,
        ours,
    );
    row("git fast-import", least(&imports), files, ours);

    let same = |found: &str, who: &str| {
        ensure!(found == tree, "{who} made another tree");
        Ok(())
    };
    let directory = tempfile::tempdir()?;
    let loose = gix::odb::loose::Store::at(directory.path().to_owned(), gix::hash::Kind::Sha1);
    let (found, cost) = measure(|| {
        use gix::objs::{Kind, Write as _};
        let write = |kind, bytes: &[u8]| {
            let id = loose
                .write_buf(kind, bytes)
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            Ok::<_, anyhow::Error>(id.as_slice().to_vec())
        };
        let ids = project
            .iter()
            .map(|(path, content)| Ok((path.clone(), write(Kind::Blob, content.as_bytes())?)));
        let ids = ids.collect::<Result<Vec<_>>>()?;
        let tree = peers::write_trees(&ids, &mut |raw| write(Kind::Tree, raw))?;
        Ok(gix::ObjectId::from_bytes_or_panic(&tree).to_string())
    })?;
    same(&found, "gix")?;
    row("gix, loose objects (not durable)", cost, files, ours);

    let directory = tempfile::tempdir()?;
    let repository = git2::Repository::init_bare(directory.path())?;
    let (found, cost) = measure(|| {
        let odb = repository.odb()?;
        let write = |kind, bytes: &[u8]| odb.write(kind, bytes).map(|id| id.as_bytes().to_vec());
        let ids = project
            .iter()
            .map(|(path, content)| Ok((path.clone(), write(git2::ObjectType::Blob, content.as_bytes())?)));
        let ids = ids.collect::<Result<Vec<_>>>()?;
        let tree = peers::write_trees(&ids, &mut |raw| write(git2::ObjectType::Tree, raw))?;
        Ok(git2::Oid::from_bytes(&tree)?.to_string())
    })?;
    same(&found, "libgit2")?;
    row("libgit2, loose objects (not durable)", cost, files, ours);

    let directory = tempfile::tempdir()?;
    git(
        directory.path(),
        &["init", "--quiet", "--initial-branch=main"],
        b"",
    )?;
    check_out(directory.path(), &project)?;
    let (_, cost) = measure(|| {
        git(directory.path(), &["add", "--all"], b"")?;
        git(directory.path(), &["commit", "--quiet", "-m", "x"], b"")
    })?;
    same(
        &git(directory.path(), &["rev-parse", "main^{tree}"], b"")?,
        "git commit",
    )?;
    row("git add && git commit (files are there)", cost, files, ours);
    Ok(())
}

/// What cannot be left out: SHA-1 and deflate of each content.
fn floor(project: &[File]) -> Result<Cost> {
    let ((), cost) = measure(|| {
        let level = libdeflater::CompressionLvl::new(1).map_err(|_| anyhow::anyhow!("no such level"))?;
        let mut compressor = libdeflater::Compressor::new(level);
        let mut out = Vec::new();
        for (_, content) in project {
            gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, content.as_bytes())?;
            out.resize(compressor.zlib_compress_bound(content.len()), 0);
            compressor.zlib_compress(content.as_bytes(), &mut out)?;
        }
        Ok(())
    })?;
    Ok(cost)
}

fn check_out(directory: &Path, files: &[File]) -> Result<()> {
    for (path, content) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().context("a path below the root")?)?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// One file of a project, changed.
fn edit(number: u64, files: u64, bytes: usize, random: &mut Random) -> File {
    let file = random.below(files);
    let text = content(file, bytes);
    (
        path(file, files),
        text.replacen("\"end\": null", &format!("\"end\": {number}"), 1),
    )
}

fn incremental(files: u64, commits: u64) -> Result<()> {
    println!("incremental: {commits} commits of one file each, in a repository of {files} files");
    let project = project(files, 300);
    let mut engine = Engine::new()?;
    engine.push(&project)?;
    let copies = tempfile::tempdir()?;
    let bare = copies.path().join("bare.git");
    let source = engine.repository().display().to_string();
    git(
        copies.path(),
        &["clone", "--quiet", "--bare", "--no-local", &source, "bare.git"],
        b"",
    )?;

    let mut random = Random(1);
    let edits: Vec<File> = (0..commits)
        .map(|number| edit(number, files, 300, &mut random))
        .collect();
    let ready = |edits: &[File], through: u64| -> Vec<_> {
        let one = |file: &File| (batches(std::slice::from_ref(file), 1), message(through));
        edits.iter().map(one).collect()
    };
    let single = ready(&edits, 3);

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut tree = String::new();
    for round in (0..ROUNDS).rev() {
        // Each round changes them once more, and the last one to what is pushed one by one below.
        let in_round = |(path, content): &File| {
            let number = if round == 0 {
                String::new()
            } else {
                round.to_string()
            };
            (
                path.clone(),
                content.replacen("\"end\": ", &format!("\"end\": {number}"), 1),
            )
        };
        let edits: Vec<File> = edits.iter().map(in_round).collect();
        let ready = ready(&edits, 2);
        let ((), cost) = measure(|| engine.push_together(ready))?;
        ours.push(cost);
        tree = engine.tree()?;

        let start = git(&bare, &["rev-parse", "main"], b"")?;
        let mut stream = String::new();
        for (at, file) in edits.iter().enumerate() {
            let from = (at == 0).then_some(start.as_str());
            stream.push_str(&peers::fast_import(std::slice::from_ref(file), from));
        }
        let (_, cost) = measure(|| git(&bare, &["fast-import", "--quiet"], stream.as_bytes()))?;
        theirs.push(cost);
        ensure!(
            git(&bare, &["rev-parse", "main^{tree}"], b"")? == tree,
            "git fast-import made another tree"
        );
    }
    told("git/incremental/fast_import_by_engine", &theirs, &ours);
    let ours = least(&ours);
    row("engine, all in one push", ours, commits, ours);
    row("git fast-import, one process", least(&theirs), commits, ours);

    // One push each, back to where the files were and on again, so that every one changes something.
    let revert: Vec<File> = edits
        .iter()
        .map(|(path, _)| file_of(path, &project))
        .collect::<Result<_>>()?;
    engine.push(&revert)?;
    let (_, cost) = measure(|| engine.push_each(single))?;
    ensure!(engine.tree()? == tree, "one push each made another tree");
    row("engine, one durable push each", cost, commits, ours);

    let few = commits.min(5);
    let work = copies.path().join("work");
    git(copies.path(), &["clone", "--quiet", &source, "work"], b"")?;
    let (_, cost) = measure(|| {
        for number in 0..few {
            let (path, content) = edit(number + 7000, files, 300, &mut random);
            fs::write(work.join(&path), content)?;
            git(&work, &["add", &path], b"")?;
            git(&work, &["commit", "--quiet", "-m", "x"], b"")?;
        }
        Ok(())
    })?;
    let each = Cost {
        cpu: ours.cpu.mul_f64(few as f64 / commits as f64),
        wall: ours.wall,
    };
    row("git add PATH && git commit", cost, few, each);
    Ok(())
}

fn file_of(path: &str, project: &[File]) -> Result<File> {
    let number: usize = path[path.rfind('/').context("a directory")? + 1..]
        .trim_end_matches(".json")
        .parse()?;
    Ok(project[number].clone())
}

fn commit(
    draft: &mut Draft<'_>,
    parent: Oid,
    batches: Vec<MirrorBatch>,
    message: &GuardedMessage,
) -> Result<Oid> {
    let base = draft.tree_of(parent)?;
    let mut writer = draft.tree_writer(Some(base))?;
    for batch in batches {
        writer.write(batch)?;
    }
    let tree = writer.finish()?.tree;
    Ok(draft.commit(tree, &[parent], message)?)
}

fn flat(sizes: &[u64], commits: u64) -> Result<()> {
    println!(
        "flat: {ROUNDS} rounds of {commits} commits of one file each, in one push and in one each, by the size of the repository"
    );
    let bytes = 60;
    let mut random = Random(2);
    let mut number = 0;
    // Each changes a file to what it was never before.
    let mut ready = |files: u64| -> Vec<_> {
        let one = |_| {
            number += 1;
            (batches(&[edit(number, files, bytes, &mut random)], 1), message(2))
        };
        (0..commits).map(one).collect()
    };
    let mut engines = Vec::new();
    for &files in sizes {
        let mut engine = Engine::new()?;
        let mut from = 0;
        while from < files {
            let until = files.min(from + 50_000);
            let part: Vec<File> = (from..until)
                .map(|number| (path(number, files), content(number, bytes)))
                .collect();
            engine.push(&part)?;
            from = until;
        }
        // The pushes of the load leave packs of their own size, which the store joins once; that is the load's.
        let more = [ready(files), ready(files)].into_iter().flatten().collect();
        let (_, cost) = measure(|| engine.push_each(more))?;
        let joined = cost.cpu.as_secs_f64();
        println!(
            "  {files} files are there; the first {} pushes, which join what the load left: cpu {joined:.3} s",
            2 * commits
        );
        engines.push((files, engine, Vec::new(), Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (files, engine, together, single) in &mut engines {
            let (now, then) = (ready(*files), ready(*files));
            together.push(measure(|| engine.push_together(now))?.1);
            single.push(measure(|| engine.push_each(then))?.1);
        }
    }
    for (files, engine, ..) in &engines {
        let all: u64 = git(engine.repository(), &["rev-list", "--count", "main"], b"")?.parse()?;
        let made = (2 + 2 * ROUNDS as u64) * commits;
        ensure!(
            all == files.div_ceil(50_000) + made,
            "commits are missing among {files} files"
        );
    }
    let [(_, _, together, single), .., (_, _, large_together, large_single)] = &engines[..] else {
        return Ok(());
    };
    told("git/flat/largest_by_smallest_together", large_together, together);
    told("git/flat/largest_by_smallest_each", large_single, single);
    let first = (sum(together), sum(single));
    for (files, _, together, single) in &engines {
        let commits = commits * ROUNDS as u64;
        row(&format!("engine, {files} files"), sum(together), commits, first.0);
        row("  … one durable push each", sum(single), commits, first.1);
    }
    Ok(())
}

fn bytes(pushes: u64) -> Result<()> {
    println!("bytes: {pushes} pushes each, beside `git pack-objects --thin`, which is what `git push` sends");
    let line = |number: u64| {
        format!(
            "{{\"runId\":\"{}\",\"component\":\"keboola.ex-{}\",\"config\":\"{}\",\"status\":\"SUCCESS\",\"startedAt\":\"2026-11-25T{:02}:{:02}:{:02}Z\",\"durationSeconds\":{},\"outputs\":[{{\"table\":\"out.c-main.t{}\",\"columns\":[\"id\",\"name\"]}}]}}\n",
            1_000_000 + number * 7919,
            number % 23,
            number % 911,
            number / 3600 % 24,
            number / 60 % 60,
            number % 60,
            number * 31 % 997,
            number % 77
        )
    };
    let mut day: String = (0..2500).map(line).collect();
    let entry = |number: u64| {
        format!(
            "    {{\n      \"branchId\": 1,\n      \"componentId\": \"keboola.ex-{}\",\n      \"id\": \"{}\",\n      \"path\": \"extractor/keboola.ex-{}/configuration-{number}\",\n      \"rows\": []\n    }},\n",
            number % 61,
            9_000_000 + number * 17,
            number % 61
        )
    };
    let mut manifest: Vec<String> = (0..if pushes > 10 { 30_000 } else { 500 }).map(entry).collect();
    let whole = |manifest: &[String]| format!("[\n{}    {{}}\n]\n", manifest.concat());
    let project = project(2000, 1000);
    let mut engine = Engine::new()?;
    let mut all = project.clone();
    all.push(("jobs/2026/11/25.jsonl".to_owned(), day.clone()));
    all.push(("configs/main/manifest.json".to_owned(), whole(&manifest)));
    engine.push(&all)?;
    let mut random = Random(3);
    let mut compare = |name: &str, files: &mut dyn FnMut(u64) -> Vec<File>| -> Result<()> {
        let (mut ours, mut peer) = (0, 0);
        for number in 0..pushes {
            let old = engine.tip.context("a first commit")?;
            ours += engine.push(&files(number))?;
            let range = format!("{}\n^{old}\n", engine.tip.context("a commit")?);
            let args = [
                "pack-objects",
                "--thin",
                "--stdout",
                "--revs",
                "--delta-base-offset",
                "--no-reuse-delta",
                "--quiet",
            ];
            let file = engine.directory.path().join("pack");
            let target = fs::File::create(&file)?;
            let mut command = std::process::Command::new("git");
            command
                .current_dir(engine.repository())
                .args(args)
                .stdout(target)
                .stdin(std::process::Stdio::piped());
            let mut child = command.spawn()?;
            std::io::Write::write_all(&mut child.stdin.take().context("a pipe")?, range.as_bytes())?;
            ensure!(child.wait()?.success(), "git pack-objects failed");
            peer += fs::metadata(&file)?.len();
        }
        let ratio = ours as f64 / peer as f64;
        let (ours, peer) = (ours as f64 / pushes as f64, peer as f64 / pushes as f64);
        println!("  {name:<42} engine {ours:9.0} B  git {peer:9.0} B  {ratio:6.3} x");
        counted(&format!("git/bytes/{}", name.replace(' ', "_")), ratio);
        Ok(())
    };
    compare("one configuration edited", &mut |number| {
        vec![edit(number, 2000, 1000, &mut random)]
    })?;
    compare("one line appended to a day file", &mut |number| {
        day.push_str(&line(2500 + number));
        vec![("jobs/2026/11/25.jsonl".to_owned(), day.clone())]
    })?;
    compare("one entry added to the manifest", &mut |number| {
        let at = usize::try_from(number * 97).unwrap_or_default() % manifest.len();
        manifest.insert(at, entry(50_000 + number));
        vec![("configs/main/manifest.json".to_owned(), whole(&manifest))]
    })?;
    ensure!(
        git(engine.repository(), &["fsck", "--strict"], b"")?.is_empty(),
        "fsck finds something"
    );
    Ok(())
}
