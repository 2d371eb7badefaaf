//! What is in force while files come, go and are no good.

use super::*;
use crate::admin::auth::TokensFile;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("interlock-admin-files-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.0.join("tokens.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn tokens(name: &str) -> String {
    let sha256 = Sha256::digest(name);
    format!("[[tokens]]\nname = \"{name}\"\nrole = \"viewer\"\nsha256 = \"{sha256:x}\"\n")
}

fn opened(path: PathBuf) -> Reread<TokensFile> {
    Reread::open(TokensFile { path }).unwrap_or_else(|error| panic!("{error}"))
}

fn names(watched: &Reread<TokensFile>) -> Vec<String> {
    watched.in_force().load().names().map(str::to_owned).collect()
}

#[test]
fn another_version_is_in_force_at_the_next_look() {
    let folder = Folder::new("another");
    let mut watched = opened(folder.write(&tokens("ann")));
    assert!(watched.look().is_none(), "nothing has changed");

    folder.write(&tokens("bob"));

    assert!(matches!(watched.look(), Some(News::Taken)));
    assert_eq!(names(&watched), ["bob"]);
    assert!(watched.look().is_none());
}

#[test]
fn a_bad_version_changes_nothing_and_is_told_of_once_at_the_second_look() {
    let folder = Folder::new("bad");
    let path = folder.write(&tokens("ann"));
    let mut watched = opened(path.clone());

    folder.write("half a fi");
    assert!(watched.look().is_none(), "it may be half-written");
    let Some(News::Refused(error)) = watched.look() else { panic!("not told of") };
    let said = error.to_string();
    let expected = format!("admin.tokens_file = \"{}\": is no list of tokens", path.display());
    assert!(said.starts_with(&expected), "{said}");
    assert!(watched.look().is_none(), "once");
    assert_eq!(names(&watched), ["ann"]);

    fs::remove_file(&path).unwrap();
    assert!(watched.look().is_none());
    assert!(matches!(watched.look(), Some(News::Refused(_))), "another fault is told of");

    folder.write(&tokens("ann"));
    assert!(matches!(watched.look(), Some(News::Taken)), "what is in force stands there again");
    assert!(watched.look().is_none());
}

/// A file that holds the second after which it is of no use.
struct Dated(PathBuf);

impl Recipe for Dated {
    type Made = u64;

    const FILE: AdminFile = AdminFile::Tls;

    fn paths(&self) -> Vec<(&'static str, &Path)> {
        vec![("key", &self.0)]
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<u64, FileError> {
        Ok(String::from_utf8_lossy(&contents[0]).parse().unwrap())
    }

    fn expiry(made: &u64) -> Option<u64> {
        Some(*made)
    }
}

#[test]
fn what_has_run_out_replaces_nothing_that_has_not() {
    let folder = Folder::new("expired");
    let (good, better) = (u64::MAX - 1, u64::MAX);
    let mut watched = Reread::open(Dated(folder.write(&good.to_string()))).ok().unwrap();

    folder.write("7");
    assert!(watched.look().is_none());
    let Some(News::Refused(error)) = watched.look() else { panic!("it was taken") };
    assert!(error.to_string().contains("has run out already"), "{error}");
    assert_eq!(**watched.in_force().load(), good);
    folder.write(&better.to_string());
    assert!(matches!(watched.look(), Some(News::Taken)));

    // Where nothing better is in force, it is as good as any other.
    let mut old = Reread::open(Dated(folder.write("7"))).ok().unwrap();
    folder.write("8");
    assert!(matches!(old.look(), Some(News::Taken)));
}

#[test]
fn a_fault_that_is_gone_at_the_second_look_is_not_told_of() {
    let folder = Folder::new("gone");
    let mut watched = opened(folder.write(&tokens("ann")));

    folder.write("");
    assert!(watched.look().is_none());
    folder.write(&tokens("ann"));
    assert!(watched.look().is_none());
    folder.write("");

    assert!(watched.look().is_none(), "it is suspect anew");
}

#[test]
fn what_is_no_file_or_too_large_is_refused() {
    let folder = Folder::new("large");
    let fault = |path: PathBuf| *Reread::open(TokensFile { path }).err().unwrap().fault;

    assert!(matches!(fault(folder.0.clone()), FileFault::NotRegular));
    assert!(matches!(fault(folder.0.join("none")), FileFault::Unreadable(_)));
    let large = folder.write(&"#".repeat(1 + (1 << 20)));
    assert!(matches!(fault(large), FileFault::TooLarge));
}
