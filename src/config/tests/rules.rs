//! What must hold between settings, what this version can't do, and what it warns about.

use super::*;
use crate::config::{AdminOpen, FixedConfig};
use crate::domain::source::Source;

fn flag(name: &str, entity: &str, route: &str, methods: &str, path: &str) -> String {
    format!(
        "[flags.{name}]\nentity = \"{entity}\"\n[[flags.{name}.routes]]\nname = \"{route}\"\nmethods = [{methods}]\n\
         path = \"{path}\"\n"
    )
}

#[test]
fn two_flags_never_write_one_entity() {
    check_refused(
        &flag("other", "journey:{id}", "r", "\"PUT\"", "/x/{id}"),
        &[
            "FILE1: flags.other.entity = \"journey:{id}\": the flag flags.journey-updates writes the same entities",
        ],
    );
}

#[test]
fn two_routes_never_take_one_call() {
    check_refused(
        &flag("other", "trip:{id}", "r", "\"GET\", \"PUT\"", "/API/journeys/{id}/Status"),
        &[
            "FILE1: flags.other.routes[0].path = \"/API/journeys/{id}/Status\": flags.journey-updates.routes[0] matches the \
           same PUT calls",
        ],
    );
    let apart = flag("other", "trip:{id}", "r", "\"POST\"", "/api/journeys/{id}/status");
    assert_eq!(loaded(&format!("{MINIMAL}\n{apart}")).config.flags.len(), 2);
}

#[test]
fn route_names_are_unique_over_all_flags() {
    check_refused(
        &flag("other", "trip:{id}", "journey-status", "\"PUT\"", "/trips/{id}"),
        &[
            "FILE1: flags.other.routes[0].name = \"journey-status\": flags.journey-updates.routes[0] has the same name",
        ],
    );
}

#[test]
fn names_must_be_safe_as_labels() {
    check_refused(
        &flag("other", "trip:{id}", "unmatched", "\"PUT\"", "/trips/{id}"),
        &[
            "FILE1: flags.other.routes[0].name = \"unmatched\": is what metrics call a call that matched nothing",
        ],
    );
    check_refused(
        &flag("\"a b\"", "trip:{id}", "r", "\"PUT\"", "/trips/{id}"),
        &["FILE1: flags.\"a b\": is no name"],
    );
    let long = "x".repeat(65);
    check_refused(
        &flag(&long, "trip:{id}", "r", "\"PUT\"", "/trips/{id}"),
        &[&format!("FILE1: flags.{long}: is no name: use 1 to 64")],
    );
}

#[test]
fn a_route_fills_every_placeholder_of_the_entity() {
    let route = |rest: &str| {
        format!(
            "[[flags.journey-updates.routes]]\nname = \"r\"\nmethods = [\"PUT\"]\npath = \"/api/status/{{id}}\"\n{rest}"
        )
    };

    check_refused(
        &route(""),
        &[
            "FILE1: flags.journey-updates.routes[0].path = \"/api/status/{id}\": doesn't have {journeyId} of the entity: add \
           it to the path, or say where it stands with placeholders = { journeyId = \"query:NAME\" }",
        ],
    );
    check_refused(
        &route("placeholders = { journeyId = \"path:other\" }"),
        &[
            "FILE1: flags.journey-updates.routes[0].placeholders.journeyId = \"path:other\": the route's path has no \
           placeholder {other}",
        ],
    );
    check_refused(
        &route("placeholders = { journeyId = \"query:id\", journey = \"query:id\" }"),
        &[
            "FILE1: flags.journey-updates.routes[0].placeholders.journey = \"query:id\": the entity has no such placeholder; \
           it has journeyId",
        ],
    );
    check_refused(
        &route("placeholders = { journeyId = \"cookie:id\" }"),
        &[
            "FILE1: flags.journey-updates.routes[0].placeholders.journeyId = \"cookie:id\": is no source",
        ],
    );
}

#[test]
fn a_placeholder_comes_from_its_source_or_else_from_the_path() {
    let text = MINIMAL.replace("journey:{journeyId}", "{tenant}:{journeyId}:{part}")
        + "placeholders = { tenant = \"header:X-Tenant\", part = \"body:/part\" }";

    let config = loaded(&text).config;

    let sources: Vec<String> =
        config.flags[0].routes[0].sources.iter().map(Source::to_string).collect();
    assert_eq!(sources, ["header:x-tenant", "path:journeyId", "body:/part"]);
}

#[test]
fn a_flag_needs_a_route() {
    check_refused(
        "[flags.other]\nentity = \"trip:{id}\"",
        &["configuration: flags.other.routes: needs at least one route"],
    );
    check_refused(
        "[flags.journey-updates]\nroutes = []",
        &["FILE1: flags.journey-updates.routes = []: needs at least one route"],
    );
}

#[test]
fn flags_and_routes_are_bounded() {
    let flags = |count: usize| -> String {
        let one = |n| {
            flag(
                &format!("f{n}"),
                &format!("e{n}:{{id}}"),
                &format!("r{n}"),
                "\"PUT\"",
                &format!("/{n}/{{id}}"),
            )
        };
        (0..count).map(one).collect()
    };
    check_refused(&flags(50), &["configuration: flags: has 51 flags, and at most 50 are allowed"]);
    assert_eq!(loaded(&(MINIMAL.to_owned() + &flags(49))).config.flags.len(), 50);

    let routes: String = (0..200)
        .map(|n| {
            format!(
                "[[flags.other.routes]]\nname = \"r{n}\"\nmethods = [\"PUT\"]\npath = \"/{n}/{{id}}\"\n"
            )
        })
        .collect();
    let many = format!("[flags.other]\nentity = \"trip:{{id}}\"\n{routes}");
    check_refused(
        &many,
        &["configuration: flags: there are 201 routes in all flags, and at most 200 are allowed"],
    );
}

#[test]
fn the_admin_plane_is_open_to_others_with_tokens_only() {
    for listen in ["0.0.0.0:9901", "[::]:9901", "192.0.2.1:9901"] {
        check_refused(
            &format!("[admin]\nlisten = \"{listen}\""),
            &[&format!(
                "FILE1: admin.listen = \"{listen}\": is reachable from other machines: set admin.tokens_file"
            )],
        );
    }
    loaded(&format!("{MINIMAL}[admin]\nlisten = \"0.0.0.0:9901\"\ntokens_file = \"tokens.toml\""));
    loaded(&format!("{MINIMAL}[admin]\nlisten = \"[::1]:9901\""));
}

#[test]
fn tokens_that_cross_a_network_in_the_clear_are_warned_of() {
    let beyond = "[admin]\nlisten = \"0.0.0.0:9901\"\ntokens_file = \"tokens.toml\"";
    let tls = "[admin.tls]\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"";

    let warnings = warnings_for(beyond);

    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("admin.listen: is reachable from other machines, and tokens"));
    assert!(warnings[0].contains("set admin.tls"), "{warnings:#?}");
    assert_eq!(warnings_for(&format!("{beyond}\n{tls}")), [""; 0]);
    assert_eq!(warnings_for("[admin]\nlisten = \"[::1]:9901\""), [""; 0]);
}

#[test]
fn the_admin_plane_speaks_tls_with_both_files_or_not_at_all() {
    check_refused(
        "[admin.tls]\ncert_file = \"tls.crt\"",
        &["FILE1: admin.tls.key_file: is required: write something like key_file = "],
    );
    check_refused("[admin]\ntls = true", &["FILE1: admin.tls: must be a table, not a boolean"]);
    assert_eq!(loaded(MINIMAL).config.admin.tls, None);
}

#[test]
fn what_needs_no_token_is_one_of_two_things() {
    check_refused(
        "[admin]\nopen = [\"flags\"]",
        &["FILE1: admin.open = [\"flags\"]: must be one of probes, metrics"],
    );
    check_refused(
        "[admin]\nopen = \"probes\"",
        &[
            "FILE1: admin.open = \"probes\": must be a list of words, such as [\"probes\"], not text",
        ],
    );
    let open = |open: &str| loaded(&format!("{MINIMAL}[admin]\nopen = {open}")).config.admin.open;
    let with = |env| Files::of(&[MINIMAL]).load(&[("INTERLOCK__ADMIN__OPEN", env)]).unwrap();

    assert_eq!(loaded(MINIMAL).config.admin.open, AdminOpen { probes: true, metrics: false });
    assert_eq!(open("[]"), AdminOpen { probes: false, metrics: false });
    assert_eq!(open("[\"metrics\", \"probes\"]"), AdminOpen { probes: true, metrics: true });
    let of_environment = with("[\"metrics\"]").config.admin.open;
    assert_eq!(of_environment, AdminOpen { probes: false, metrics: true });
}

#[test]
fn two_listeners_never_want_one_port() {
    let check = |proxy: &str, admin: &str, clash: bool| {
        let change = format!("[proxy]\nlisten = \"{proxy}\"\n[admin]\nlisten = \"{admin}\"");
        let found = Files::of(&[MINIMAL, &change]).load(&[]);
        let said = found.err().map(|problems| problems.to_string()).unwrap_or_default();
        assert_eq!(said.contains("listens on"), clash, "{change}: {said}");
    };

    check("0.0.0.0:9901", "127.0.0.1:9901", true);
    check("127.0.0.1:9901", "127.0.0.1:9901", true);
    check("[::]:9901", "127.0.0.1:9901", true);
    check("127.0.0.2:9901", "127.0.0.1:9901", false);
    check("0.0.0.0:9901", "[::1]:9901", false);
    check("127.0.0.1:0", "127.0.0.1:0", false);
}

#[test]
fn the_app_is_not_interlock_itself() {
    let check = |listen: &str, url: &str, loops: bool| {
        let change = format!("[proxy]\nlisten = \"{listen}\"\n[legacy]\nurl = \"{url}\"");
        let found = Files::of(&[MINIMAL, &change]).load(&[]);
        let said = found.err().map(|problems| problems.to_string()).unwrap_or_default();
        assert_eq!(said.contains("Interlock itself listens"), loops, "{change}: {said}");
    };

    check("0.0.0.0:8080", "http://127.0.0.1:8080", true);
    check("0.0.0.0:8080", "http://localhost:8080", true);
    check("[::]:8080", "http://[::1]:8080", true);
    check("192.0.2.1:8080", "http://192.0.2.1:8080", true);
    check("0.0.0.0:80", "http://LOCALHOST.", true);
    check("0.0.0.0:8080", "http://127.0.0.1:5000", false);
    check("192.0.2.1:8080", "http://127.0.0.1:8080", false);
    check("0.0.0.0:8080", "http://journeys:8080", false);

    check_refused(
        "[flags.journey-updates]\nfixed = { strategy = \"upstream\", url = \"http://127.0.0.1:8080\" }",
        &[
            "FILE1: flags.journey-updates.fixed.url = \"http://127.0.0.1:8080\": is where Interlock itself listens",
        ],
    );
}

#[test]
fn the_app_is_not_the_admin_plane() {
    check_refused(
        "[legacy]\nurl = \"http://localhost:9901\"",
        &[
            "FILE1: legacy.url = \"http://localhost:9901\": is where Interlock itself listens (admin.listen",
        ],
    );
}

#[test]
fn the_snapshot_is_no_directory() {
    let directory = std::env::temp_dir();
    let said = problems_of(&[MINIMAL, &format!("[store]\nsnapshot = {directory:?}")], &[]);

    assert!(said[0].contains("store.snapshot") && said[0].contains("is a directory"), "{said:?}");
}

#[test]
fn the_strategy_upstream_needs_its_url() {
    check_refused(
        "[flags.journey-updates]\nfixed = { strategy = \"upstream\" }",
        &[
            "FILE1: flags.journey-updates.fixed.strategy = \"upstream\": strategy \"upstream\" needs url",
        ],
    );
    let fixed =
        "[flags.journey-updates.fixed]\nstrategy = \"upstream\"\nurl = \"http://127.0.0.1:5001\"";
    let config = loaded(&format!("{MINIMAL}{fixed}")).config;
    assert!(matches!(&config.flags[0].fixed, FixedConfig::Upstream { url } if url.port == 5001));
}

#[test]
fn settings_that_defeat_each_other_are_warned_about() {
    let check = |change: &str, warning: &str| {
        let found = warnings_for(change);
        assert!(found.len() == 1 && found[0].starts_with(warning), "{change}: {found:?}");
    };

    check(
        "[proxy]\ndrain = \"9s\"",
        "configuration: flags.journey-updates.lease.wait: with legacy.timeout = \"5s\" it exceeds",
    );
    check(
        "[flags.journey-updates]\nfixed = { url = \"http://127.0.0.1:5001\" }",
        "FILE1: flags.journey-updates.fixed.url: has no effect: only strategy \"upstream\"",
    );
    check(
        "[flags.journey-updates]\nfixed = { strategy = \"upstream\", url = \"http://127.0.0.1:5000\" }",
        "FILE1: flags.journey-updates.fixed.url: is legacy.url",
    );
}
