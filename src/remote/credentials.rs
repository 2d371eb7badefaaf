//! Who we are to the store: read again at every connect, so that a changed password needs no restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::RedisConfig;

/// What the store's login needs.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    /// The user; the server's default user where there is none.
    pub(super) username: Option<String>,
    /// The password; no login where there is none.
    pub(super) password: Option<String>,
}

/// A file that can't be read. Nothing of what is in it is told.
#[derive(Debug, thiserror::Error)]
#[error("{key} = \"{}\": {source}", path.display())]
pub(super) struct CredentialsError {
    key: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Credentials {
    /// Reads them: the files win over the URL.
    pub(super) fn read(config: &RedisConfig) -> Result<Self, CredentialsError> {
        let url = &config.url;
        let username = read("store.username_file", config.username_file.as_deref())?;
        let password = read("store.password_file", config.password_file.as_deref())?;
        Ok(Self {
            username: username.or_else(|| url.username.clone()),
            password: password.or_else(|| Some(url.password.as_ref()?.reveal().to_owned())),
        })
    }
}

/// Reads a file that the configuration names, if it does, without the newline at its end.
pub(super) fn read(
    key: &'static str,
    path: Option<&Path>,
) -> Result<Option<String>, CredentialsError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let mut text = fs::read_to_string(path).map_err(|source| CredentialsError {
        key,
        path: path.to_owned(),
        source,
    })?;
    // Editors and `echo` end a file with a newline; more than one is the password's own.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::remote::testing::{Folder, config};

    fn with_file(text: &str) -> Option<String> {
        let folder = Folder::new();
        let config =
            RedisConfig { password_file: Some(folder.write("password", text)), ..config(1) };
        Credentials::read(&config).unwrap().password
    }

    #[test]
    fn one_newline_at_the_end_of_a_file_is_not_the_passwords() {
        assert_eq!(with_file("secret").as_deref(), Some("secret"));
        assert_eq!(with_file("secret\n").as_deref(), Some("secret"));
        assert_eq!(with_file("secret\r\n").as_deref(), Some("secret"));
        assert_eq!(with_file("secret\n\n").as_deref(), Some("secret\n"));
        assert_eq!(with_file(" secret ").as_deref(), Some(" secret "));
    }

    #[test]
    fn files_win_over_the_url() {
        let folder = Folder::new();
        let mut config = config(1);
        config.url.username = Some("of-url".to_owned());
        config.url.password = Some(Secret::new("of-url".to_owned()));
        config.password_file = Some(folder.write("password", "of-file"));

        let credentials = Credentials::read(&config).unwrap();

        assert_eq!(credentials.username.as_deref(), Some("of-url"));
        assert_eq!(credentials.password.as_deref(), Some("of-file"));
    }

    #[test]
    fn a_file_that_is_missing_is_named_with_its_key() {
        let config = RedisConfig { username_file: Some("/no/such/file".into()), ..config(1) };

        let error = Credentials::read(&config).err().unwrap().to_string();

        assert!(error.starts_with("store.username_file = \"/no/such/file\": "), "{error}");
    }
}
