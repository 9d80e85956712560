//! The README holds its word: what it tells to type is typed, and what it shows is what comes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::blocks::{Block, blocks_of};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;
use crate::support::tools::{repository, tool};

const MESSAGES: &str = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"messages\":[]}";

fn blocks() -> Vec<Block> {
    blocks_of(&fs::read_to_string(repository().join("README.md")).unwrap())
}

#[test]
fn the_readme_does_what_it_says() {
    let blocks = blocks();
    let origin = Origin::start(|_| Answer::script().send(MESSAGES));
    let yaml = &blocks
        .iter()
        .find(|block| block.language == "yaml")
        .unwrap()
        .text;
    let yaml = yaml.replace("https://graph.facebook.com", &origin.url());
    let sidefuse = Sidefuse::start(&format!(
        "{yaml}listen: {{proxy: 127.0.0.1:0, admin: 127.0.0.1:0}}\n"
    ));
    let shell = Shell::new(&sidefuse);
    for (index, block) in blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| block.language == "sh")
        .skip(1)
    {
        let said = steady(&shell.run(&block.text));
        let Some(shown) = blocks.get(index + 1).filter(|next| next.language == "text") else {
            continue;
        };
        let is_cut = shown.text.contains('…');
        let count = |text: &str| text.lines().filter(|it| !it.trim().is_empty()).count();
        assert!(
            is_cut || count(&shown.text) == count(&said),
            "the README leaves out lines of\n{said}\nfor\n{}\nand has no … there",
            block.text
        );
        // What an ellipsis stands for is not shown.
        let shown = steady(&shown.text);
        let shown = shown
            .lines()
            .map(|line| line.trim_end().trim_matches('…').trim_end());
        for line in shown.filter(|line| !line.trim().is_empty()) {
            assert!(
                said.lines()
                    .any(|real| real.contains(line.trim_start_matches(' '))),
                "the README shows\n{line}\nfor\n{}\nbut what comes is\n{said}",
                block.text
            );
        }
    }
}

/// Each command of the page for whoever is on call works as it stands there.
#[test]
fn the_commands_of_the_operations_page_work() {
    let sidefuse = Sidefuse::start_in(|folder| {
        let file = folder.join("sidefuse.yaml");
        let socket = folder.join("admin.sock");
        let config = format!(
            "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: [127.0.0.1:0, \"unix:{}\"]}}\nroutes: {{whatsapp: {{upstream: \"http://127.0.0.1:9\"}}}}\n",
            socket.display()
        );
        fs::write(&file, config).unwrap();
        fs::write(folder.join("reader-token"), "hush").unwrap();
        file
    });
    let mut shell = Shell::new(&sidefuse);
    for usual in ["/run/sidefuse/admin.sock", "/etc/sidefuse/reader-token"] {
        let name = Path::new(usual).file_name().unwrap();
        let real = sidefuse.directory().join(name).display().to_string();
        shell.addresses.push((usual, real));
    }
    let page = sidefuse::docs::Page::named("operations").unwrap();
    let blocks = blocks_of(page.text);
    let commands: Vec<&Block> = blocks.iter().filter(|it| it.language == "sh").collect();
    assert!(commands.len() >= 4, "{}", commands.len());
    for Block { text, .. } in commands {
        let strict = text.replace("curl -s", "curl -sS --fail-with-body");
        let said = shell.run(&format!("set -e -o pipefail\n{strict}\necho done and well"));
        assert!(said.ends_with("done and well\n"), "{text}\n{said}");
    }
}

#[test]
fn every_configuration_of_the_readme_is_a_good_one() {
    // Others are parts of one.
    let whole = |block: &&Block| block.language == "yaml" && block.text.starts_with("version:");
    for block in blocks().iter().filter(whole) {
        if let Err(report) = sidefuse::config::load(&block.text, "README.md", &|_| None) {
            panic!("{report}");
        }
    }
}

#[test]
fn the_access_line_of_the_readme_has_the_keys_of_a_real_one() {
    let shown = blocks()
        .into_iter()
        .find(|block| block.language == "json")
        .unwrap()
        .text;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let origin = Origin::start(|_| Answer::script().send(MESSAGES));
    let mut sidefuse = Sidefuse::start(&format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: off}}\nroutes: {{whatsapp: {{preset: whatsapp, upstream: \"{}\"}}}}\n",
        origin.url()
    ));
    let shell = Shell::new(&sidefuse);
    shell.run("curl -s http://127.0.0.1:7900/whatsapp/v19.0/1/messages -H 'X-Correlation-ID: test-123' -d x");
    let real = sidefuse
        .process()
        .wait_for_line(|line| line["correlationId"] == "test-123");
    let keys = |line: &Value| {
        line.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&shown), keys(&real));
}

#[test]
fn the_two_commands_of_the_readme_exist() {
    let first = &blocks()[0].text;
    assert!(
        first.contains("cargo run --release -- run -c config.example.yaml"),
        "{first}"
    );
    assert!(first.contains("tests/run"), "{first}");
    assert!(repository().join("config.example.yaml").is_file());
    let mode = fs::metadata(repository().join("tests/run"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111, "tests/run can be executed");
}

#[test]
fn every_link_of_the_readme_leads_somewhere() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for link in readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        assert!(
            repository().join(link).exists(),
            "the README links to {link}"
        );
    }
}

/// A shell in the folder of a running sidefuse, in which its usual addresses are the real ones.
struct Shell {
    folder: std::path::PathBuf,
    path: String,
    /// What `sidefuse ctl` asks in the place of its default.
    admin: Option<String>,
    addresses: Vec<(&'static str, String)>,
}

impl Shell {
    fn new(sidefuse: &Sidefuse) -> Self {
        tool("curl");
        let binary = Path::new(env!("CARGO_BIN_EXE_sidefuse")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut addresses = vec![("127.0.0.1:7900", sidefuse.proxy().to_string())];
        let admin = sidefuse.try_admin().map(|admin| admin.to_string());
        addresses.extend(admin.clone().map(|admin| ("127.0.0.1:7901", admin)));
        let folder = sidefuse.config_path().parent().unwrap().to_owned();
        Self {
            folder,
            path,
            admin,
            addresses,
        }
    }

    /// Everything the commands say, on both streams. Starting sidefuse is left out: it runs already.
    fn run(&self, commands: &str) -> String {
        let mut script: String = commands
            .lines()
            .filter(|line| !line.starts_with("sidefuse run"))
            .fold(String::new(), |script, line| script + line + "\n");
        for (usual, real) in &self.addresses {
            script = script.replace(usual, real);
        }
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .envs(self.admin.as_ref().map(|admin| ("SIDEFUSE_ADMIN", admin)))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }
}

/// The text with all that differs from run to run made equal.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    let mut word = String::new();
    for char in text.chars().chain(['\n']) {
        if char.is_ascii_alphanumeric() || "-:.".contains(char) {
            word.push(char);
        } else {
            steady.push_str(if is_time(&word) {
                "TIME"
            } else if is_revision(&word) {
                "REVISION"
            } else {
                &word
            });
            word.clear();
            steady.push(char);
        }
    }
    steady
}

fn is_time(word: &str) -> bool {
    word.len() >= 20 && word.starts_with("20") && word.ends_with('Z')
}

fn is_revision(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}
