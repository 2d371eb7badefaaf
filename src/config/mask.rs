//! Passwords out of anything that is shown.

/// What stands for a password.
const MASK: &str = "***";

/// The text with the password of every URL in it masked: `redis://user:secret@host` becomes `redis://user:***@host`.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme_end) = rest.find("://") {
        let (scheme, after) = rest.split_at(scheme_end + "://".len());
        masked.push_str(scheme);
        // A password may hold an unescaped '/' or '?' by mistake; rather too much is masked than too little.
        let end = after.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(after.len());
        let (url, next) = after.split_at(end);
        match url.rsplit_once('@') {
            Some((userinfo, host)) => {
                if let Some((user, _)) = userinfo.split_once(':') {
                    masked.push_str(user);
                    masked.push(':');
                }
                masked.push_str(MASK);
                masked.push('@');
                masked.push_str(host);
            }
            None => masked.push_str(url),
        }
        rest = next;
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_are_masked_and_nothing_else() {
        let check = |text: &str, expected: &str| assert_eq!(mask(text), expected);

        check("redis://user:secret@host:6379/0", "redis://user:***@host:6379/0");
        check("redis://:secret@host", "redis://:***@host");
        check("redis://token@host", "redis://***@host");
        check("redis://:se/cr?et@host", "redis://:***@host");
        check("http://127.0.0.1:5000", "http://127.0.0.1:5000");
        check("a http://u:p@h b http://v:q@i", "a http://u:***@h b http://v:***@i");
        check("user:secret@host", "user:secret@host");
    }

    proptest! {
        #[test]
        fn no_password_survives(password in "[a-zA-Z0-9/?#!$%&*+]{4,20}", user in "[A-Z]{0,3}") {
            let masked = mask(&format!("redis://{user}:{password}@host:6379"));

            prop_assert_eq!(masked, format!("redis://{user}:***@host:6379"));
        }
    }
}
