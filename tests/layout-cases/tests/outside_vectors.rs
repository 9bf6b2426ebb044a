//! The vectors of an outside directory, where there is one; `cargo xtask conformance` counts them.

use layout_cases::vectors;
use std::path::Path;

#[test]
fn every_vector_from_outside_holds() -> anyhow::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/vectors");
    if directory.is_dir() {
        let outcome = vectors::check(&directory)?;
        assert!(outcome.total > 50, "only {} vectors were found", outcome.total);
        assert!(outcome.failed.is_empty(), "{}", outcome.failed.join("\n"));
    }
    Ok(())
}
