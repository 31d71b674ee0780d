//! Parts of pages that tests generate: `SHOOTDOWN_WRITE_DOCS=1` writes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The root of the tree.
pub fn root() -> PathBuf {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let top = above.find(|path| path.join("docs/README.md").exists());
    top.expect("the packages lie in the tree").to_path_buf()
}

/// The page has this between its marks; or gets it. `test` is who writes it.
pub fn fresh(test: &str, page: &str, mark: &str, table: &str) {
    let _guard = ONE_AT_A_TIME.lock();
    let path = root().join("docs").join(page);
    let text = fs::read_to_string(&path).expect("the page is there");
    let (begin, end) = (
        format!("<!-- {mark}:begin -->\n"),
        format!("<!-- {mark}:end -->"),
    );
    let (before, rest) = text.split_once(&begin).expect("the page has the mark");
    let (now, after) = rest.split_once(&end).expect("the page has its end");
    if now == table {
        return;
    }
    assert!(
        std::env::var_os("SHOOTDOWN_WRITE_DOCS").is_some(),
        "docs/{page}: `{mark}` is not fresh; SHOOTDOWN_WRITE_DOCS=1 cargo test -p {} --test {test} writes it",
        env!("CARGO_PKG_NAME")
    );
    fs::write(&path, format!("{before}{begin}{table}{end}{after}")).expect("it can be written");
}
