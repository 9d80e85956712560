//! Files with much of everything: counted, bounded, and told so that a person finds what matters.

use super::*;

#[test]
fn ten_thousand_routes_with_settings_of_their_own_are_within_every_budget() {
    let route = |n| {
        format!(
            "  r{n}: {{upstream: https://a{n}.example.com, breaker: {{failure_threshold: 7}}}}\n"
        )
    };
    let routes: String = (0..10_000).map(route).collect();
    let loaded = good(&format!("version: 1\nroutes:\n{routes}"));
    assert_eq!(loaded.plan.routes.len(), 10_000);
}

#[test]
fn what_multiplies_is_bounded() {
    let list = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<String>();
    let routes = list(1_000, &|n| {
        format!("  r{n}: {{upstream: https://a.example.com}}\n")
    });
    let headers = list(120, &|n| format!("X-{n}: a, "));
    let inherited =
        format!("defaults: {{headers: {{request: {{set: {{{headers}}}}}}}}}\nroutes:\n{routes}");
    let many = list(5_000, &|n| format!("X-{n}: a, "));
    let headers = file(&format!(
        "defaults: {{headers: {{request: {{set: {{{many}}}}}}}}}"
    ));
    let presets = list(300, &|n| format!("p{n}: {{extends: whatsap}}, "));
    let chain = list(20, &|n| format!("p{n}: {{extends: p{}}}, ", n + 1));
    for text in [
        format!("version: 1\n{inherited}"),
        headers,
        file(&format!("presets: {{{presets}}}")),
        file(&format!("presets: {{{chain} p20: {{extends: redis}}}}")),
    ] {
        assert!(
            bad(&text)
                .problems()
                .any(|problem| problem.code == Code::Budget)
        );
    }
}

#[test]
fn a_report_is_short_however_long_the_text_it_is_about() {
    let report = bad(&route(&format!("timeout: {}", "5".repeat(900_000))));
    assert!(report.render().len() < 20_000 && report.json().to_string().len() < 20_000);
}

#[test]
fn thousands_of_problems_are_counted_and_the_first_hundred_shown() {
    let keys: String = (0..9_000).map(|n| format!("key{n}: 1\n")).collect();
    let report = bad(&format!("version: 1\n{keys}"));
    assert_eq!(report.error_count(), 9_001);
    assert_eq!((report.problems().count(), report.untold()), (1_000, 8_001));
    let told = report.render();
    assert!(
        told.ends_with("… and 8901 more\n9001 errors\n"),
        "{}",
        &told[30_000..]
    );
    let commands = report.github();
    assert_eq!(commands.lines().count(), 1_001);
    assert!(commands.ends_with("::error file=config.yaml::8001 more problems\n"));
}

#[test]
fn an_error_is_not_lost_among_thousands_of_warnings() {
    let headers = |n: usize| {
        let literals: String = (0..90).map(|h| format!("X-{n}-{h}-Token: x, ")).collect();
        format!(
            "  r{n}: {{upstream: https://a.example.com, headers: {{request: {{set: {{{literals}}}}}}}}}\n"
        )
    };
    let routes: String = (0..30).map(headers).collect();
    let report = bad(&format!("version: 1\nroutes:\n{routes}  last: {{}}\n"));
    assert_eq!(report.error_count(), 1);
    assert!(report.warning_count() > 1_000, "{}", report.warning_count());
    assert!(report.render().starts_with("error["), "{report}");
}

#[test]
fn what_many_routes_inherit_from_one_line_does_not_crowd_out_another_problem() {
    let routes: String = (0..3_000)
        .map(|n| format!("  r{n}: {{upstream: https://a.example.com}}\n"))
        .collect();
    let report = bad(&format!(
        "version: 1\ndefaults: {{timeout: 0s}}\nroutes:\n{routes}  last: {{upstream: https://a.example.com, timeuot: 1s}}\n"
    ));
    assert_eq!(report.untold(), 0, "{report}");
    assert!(
        report.render().contains("unknown key `timeuot`"),
        "{report}"
    );
}

#[test]
fn references_stand_for_so_much_text_and_no_more() {
    let long = |name: &str| (name == "LONG").then(|| "x".repeat(100_000));
    let routes: String = (0..100)
        .map(|n| format!("  r{n}: {{upstream: \"${{LONG}}\"}}\n"))
        .collect();
    let text = format!("version: 1\nroutes:\n{routes}");
    let report = load(&text, "config.yaml", &long).unwrap_err();
    let budget = |problem: &&Problem| problem.code == Code::Budget;
    assert_eq!(report.problems().filter(budget).count(), 90, "{report}");
}

#[test]
fn of_an_endless_line_only_what_is_near_the_place_is_shown() {
    let problems: String = (0..9_000).map(|n| format!("k{n}: 1, ")).collect();
    for text in [
        format!("{{version: 1, {problems}}}"),
        format!("version: 1\n{}: 1\n", "k".repeat(900)),
        format!("version: 1\n\"{}\": 1\n", "k".repeat(900_000)),
        format!("version: \"{}\"\n", "1".repeat(900_000)),
    ] {
        let told = bad(&text).render();
        assert!(
            told.lines().all(|line| line.chars().count() < 400),
            "{}",
            &told[..2_000]
        );
    }
}

#[test]
fn thousands_of_wrong_names_among_thousands_of_right_ones_get_a_suggestion_while_that_is_cheap() {
    let routes = |n: usize| -> String {
        let route = |n| {
            format!(
                "  route{n:04}: {{upstream: https://a.example.com, fallback: {{route: ruote{n:04}}}}}\n"
            )
        };
        (0..n).map(route).collect()
    };
    let hints = |text: &str| {
        let report = bad(text);
        let all = report.problems().count();
        (
            all,
            report
                .problems()
                .filter_map(|it| it.hint.as_deref())
                .count(),
        )
    };
    let few = format!("version: 1\nroutes:\n{}", routes(20));
    assert_eq!(hints(&few), (20, 20));
    let many = format!("version: 1\nroutes:\n{}", routes(4_000));
    let (all, hinted) = hints(&many);
    assert!(
        all == 1_000 && (1..200).contains(&hinted),
        "{hinted} of {all}"
    );
}
