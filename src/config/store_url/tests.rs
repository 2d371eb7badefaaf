//! Texts in, a store's URL or what is wrong with it out.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> StoreUrl {
    text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

/// Written out with the password that it holds.
fn in_full(url: &StoreUrl) -> String {
    let mut text = String::new();
    let password = url.password.as_ref().map_or("", Secret::reveal);
    let password = utf8_percent_encode(password, NON_ALPHANUMERIC).to_string();
    url.write(&mut text, &password).unwrap();
    text
}

#[test]
fn reads_one_redis() {
    let check = |text: &str, host: &str, port: u16, tls: bool, db: u32| {
        let url = read(text);
        assert_eq!(
            (&url.nodes, url.tls, url.db),
            (&vec![(host.to_owned(), port)], tls, db),
            "{text}"
        );
        assert_eq!(url.mode, StoreMode::Single, "{text}");
        assert_eq!((url.username, url.password), (None, None), "{text}");
    };

    check("redis://127.0.0.1:7000", "127.0.0.1", 7000, false, 0);
    check("redis://Redis.Example", "redis.example", 6379, false, 0);
    check(" rediss://redis/3 ", "redis", 6379, true, 3);
    check("redis://redis/", "redis", 6379, false, 0);
    check("redis://[::1]:7000/15", "::1", 7000, false, 15);
    check("REDIS://[2001:db8::1]", "2001:db8::1", 6379, false, 0);
    check("valkey://redis", "redis", 6379, false, 0);
    check("valkeys://redis", "redis", 6379, true, 0);
}

#[test]
fn reads_who_connects() {
    let check = |text: &str, user: Option<&str>, password: Option<&str>| {
        let url = read(text);
        assert_eq!(url.username.as_deref(), user, "{text}");
        assert_eq!(url.password.as_ref().map(Secret::reveal), password, "{text}");
        assert_eq!(url.nodes, [("redis".to_owned(), 6379)], "{text}");
    };

    check("redis://app:secret@redis", Some("app"), Some("secret"));
    check("redis://:secret@redis", None, Some("secret"));
    check("redis://app@redis", Some("app"), None);
    check("redis://a%3Ab:%2F%3f%23%40%25@redis", Some("a:b"), Some("/?#@%"));
    check("redis://:se:cret@redis", None, Some("se:cret"));
    check("redis://:%C3%A9t%C3%A9@redis", None, Some("été"));
    check("redis://:%2A%2A%2A@redis", None, Some("***"));
}

#[test]
fn reads_sentinels_and_what_they_watch() {
    let check = |text: &str, nodes: &[(&str, u16)], tls: bool, db: u32| {
        let url = read(text);
        let expected: Vec<_> =
            nodes.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
        assert_eq!((url.nodes, url.tls, url.db), (expected, tls, db), "{text}");
        assert_eq!(url.mode, StoreMode::Sentinel { service: "my-master.1".to_owned() }, "{text}");
    };

    check("redis+sentinel://s1/my-master.1", &[("s1", 26379)], false, 0);
    check(
        "rediss+sentinel://u:p@s1,s2:7,[::1]/my-master.1/2",
        &[("s1", 26379), ("s2", 7), ("::1", 26379)],
        true,
        2,
    );
}

#[test]
fn several_hosts_are_a_cluster_and_one_host_may_be() {
    let several = read("redis://a,b:7000");
    let one = read("rediss://u:p@a");

    assert_eq!(several.nodes, [("a".to_owned(), 6379), ("b".to_owned(), 7000)]);
    assert_eq!(several.mode, StoreMode::Cluster);
    assert_eq!(several.clone().of_cluster(), Ok(several));
    assert_eq!(one.clone().of_cluster(), Ok(StoreUrl { mode: StoreMode::Cluster, ..one }));
    assert_eq!(read("redis://a/1").of_cluster(), Err(StoreUrlFault::ClusterDatabase));
    let sentinel = read("redis+sentinel://a/s");
    assert_eq!(sentinel.of_cluster(), Err(StoreUrlFault::ClusterOfSentinels));
}

#[test]
fn refuses_the_rest_with_the_reason() {
    let check = |text: &str, why: StoreUrlFault| {
        assert_eq!(text.parse::<StoreUrl>(), Err(why), "{text}");
    };

    for text in
        ["", "redis", "127.0.0.1:6379", "http://redis", "redis:redis", "valkey+sentinel://a/s"]
    {
        check(text, StoreUrlFault::NotRedis);
    }
    check("unix:///run/redis.sock", StoreUrlFault::UnixSocket);
    check("redis+unix:///run/redis.sock", StoreUrlFault::UnixSocket);
    for text in ["redis://:a/b@r", "redis://:a?b@r", "redis://:a#b@r", "redis://:a@b@r"] {
        check(text, StoreUrlFault::Unescaped);
    }
    for text in ["redis://:50%@r", "redis://:%zz@r", "redis://:%4@r", "redis://%ff:p@r"] {
        check(text, StoreUrlFault::BadEscape);
    }
    for text in ["redis://@r", "redis://:@r", "redis://app:@r"] {
        check(text, StoreUrlFault::NoPassword);
    }
    check("redis://app:***@r", StoreUrlFault::Masked);
    for text in
        ["redis://", "redis://:6379", "redis://a,,b", "redis://a b", "redis://::1", "redis://[x]"]
    {
        check(text, StoreUrlFault::BadHost);
    }
    for text in
        ["redis://r:", "redis://r:0", "redis://r:65536", "redis://r:x", "redis://app:secret"]
    {
        check(text, StoreUrlFault::BadPort);
    }
    check("redis://r?protocol=resp3", StoreUrlFault::QueryOrFragment);
    check("redis://r/0#x", StoreUrlFault::QueryOrFragment);
    for text in
        ["redis://r/x", "redis://r/-1", "redis://r/+1", "redis://r/0/1", "redis://r/4294967296"]
    {
        check(text, StoreUrlFault::BadDatabase);
    }
    check("redis+sentinel://r/s/x", StoreUrlFault::BadDatabase);
    for text in [
        "redis+sentinel://r",
        "redis+sentinel://r/",
        "redis+sentinel://r//1",
        "redis+sentinel://r/a b",
    ] {
        check(text, StoreUrlFault::NoService);
    }
    check("redis://a,b/1", StoreUrlFault::ClusterDatabase);
    check(&format!("redis://{}", ["a"; 33].join(",")), StoreUrlFault::TooManyHosts { count: 33 });
    read(&format!("redis://{}", ["a"; 32].join(",")));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![".{1,12}", "[a-z0-9:/@%?#*,\\[\\]]{1,12}", Just("***".to_owned())]
}

prop_compose! {
    fn urls()(
        nodes in proptest::collection::vec(
            (prop_oneof!["[a-z]{1,9}(\\.[a-z]{2})?", "10\\.0\\.0\\.[1-9]", Just("2001:db8::1".to_owned())], 1u16..),
            1..4,
        ),
        service in proptest::option::of("[A-Za-z0-9._-]{1,12}"),
        tls in any::<bool>(),
        username in proptest::option::of(texts()),
        password in proptest::option::of(texts()),
        db in 0u32..,
    ) -> StoreUrl {
        let several = nodes.len() > 1;
        let mode = match service {
            Some(service) => StoreMode::Sentinel { service },
            None if several => StoreMode::Cluster,
            None => StoreMode::Single,
        };
        let db = if mode == StoreMode::Cluster { 0 } else { db };
        StoreUrl { nodes, mode, tls, username, password: password.map(Secret::new), db }
    }
}

proptest! {
    #[test]
    fn every_url_reads_back(url in urls()) {
        prop_assert_eq!(in_full(&url).parse::<StoreUrl>(), Ok(url));
    }

    #[test]
    fn what_is_shown_has_no_password_and_is_refused_where_there_was_one(
        mut url in urls(),
        password in "[a-z0-9]{9,20}",
    ) {
        let without = url.to_string();
        url.password = Some(Secret::new(password.clone()));

        let shown = format!("{url} {url:?} {:?}", url.to_string().parse::<StoreUrl>());

        prop_assert!(!shown.contains(&password), "{}", shown);
        prop_assert_eq!(url.to_string().parse::<StoreUrl>(), Err(StoreUrlFault::Masked));
        url.password = None;
        if without == url.to_string() {
            prop_assert_eq!(without.parse::<StoreUrl>(), Ok(url));
        }
    }

    #[test]
    fn no_text_panics_and_none_shows_its_password(
        before in "(rediss?(\\+sentinel)?://|unix://|valkey://)?[a-z]{0,3}:",
        password in "[A-Z]{8}",
        after in "@?[a-z0-9:,/?#%\\[\\]]{0,20}",
    ) {
        let text = format!("{before}{password}{after}");

        let shown = match text.parse::<StoreUrl>() {
            Ok(url) => format!("{url} {url:?}"),
            Err(fault) => format!("{} {fault} {fault:?}", super::super::mask::mask_url(&text)),
        };

        prop_assert!(!shown.contains(&password), "{} of {}", shown, text);
    }
}
