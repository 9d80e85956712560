//! `sidefuse init`: a first configuration out of an application's settings.

use std::fs;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::support::process::command;

const ENV: &str = "\u{feff}# services\r
export WHATSAPP_API_URL=\"https://graph.facebook.com/v19.0\"\r
SENDGRID_URL=https://api.sendgrid.com/v3 # mail\r
PARTNER_URL=https://me:canary@api.partner.io/api?key=canary\r
DATABASE_URL=mysql://root:canary@localhost/crm\r
WHATSAPP_TOKEN=canary\r
FRONTEND_URL=http://localhost:3000\r
";

fn init(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command();
    command.arg("init").args(arguments);
    command.current_dir(folder).output().unwrap()
}

fn check(folder: &Path, file: &str) -> String {
    let mut command = command();
    command.args(["check", file]);
    let output = command.current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_file_is_written_that_check_takes_with_the_lines_to_change() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".env"), ENV).unwrap();
    // What is no file, too large, or no text is no obstacle.
    fs::create_dir(folder.path().join(".env.d")).unwrap();
    fs::write(folder.path().join(".env.bytes"), [0xff, 0xfe, b'\n']).unwrap();
    let large = fs::File::create(folder.path().join(".env.large")).unwrap();
    large.set_len(50 << 20).unwrap();
    let package = r#"{"homepage": "https://crm.example.com", "config": {"geo": {"url": "http://10.0.0.7:8080/v1"}}}"#;
    fs::write(folder.path().join("package.json"), package).unwrap();

    let output = init(folder.path(), &[]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let said = text(&output.stdout);
    for line in [
        "    WHATSAPP_API_URL=http://127.0.0.1:7900/whatsapp/v19.0\n",
        "    SENDGRID_URL=http://127.0.0.1:7900/email/v3\n",
        "    PARTNER_URL=http://…@127.0.0.1:7900/partner/api?…\n",
        "    config.geo.url: http://127.0.0.1:7900/geo/v1\n",
        "    sidefuse check ./sidefuse.yaml\n",
    ] {
        assert!(said.contains(line), "{line}{said}");
    }
    let written = fs::read_to_string(folder.path().join("sidefuse.yaml")).unwrap();
    assert!(!said.contains("canary") && !written.contains("canary"));
    assert!(!said.contains("FRONTEND") && !written.contains("3000"));
    let checked = check(folder.path(), "sidefuse.yaml");
    assert!(
        checked.starts_with("sidefuse.yaml: ok, 4 routes"),
        "{checked}"
    );
}

#[test]
fn nothing_is_ever_overwritten() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".env"), ENV).unwrap();
    fs::write(folder.path().join("sidefuse.yaml"), "mine").unwrap();
    let output = init(folder.path(), &["."]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    assert_eq!(
        text(&output.stderr),
        "error: ./sidefuse.yaml is there already and stays as it is; name another file with --output\n"
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("sidefuse.yaml")).unwrap(),
        "mine"
    );
    let output = init(folder.path(), &["--output", "other.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(check(folder.path(), "other.yaml").starts_with("other.yaml: ok, 3 routes"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", folder.path().join("link.yaml")).unwrap();
        let output = init(folder.path(), &["-o", "link.yaml"]);
        assert_eq!(output.status.code(), Some(1));
    }
    let names = fs::read_dir(folder.path()).unwrap();
    let left: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".yaml") && name != ".env")
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn without_a_url_an_example_is_written_and_a_folder_that_is_none_is_told() {
    let folder = TempDir::new().unwrap();
    let output = init(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stdout).starts_with(
            "wrote ./sidefuse.yaml: no URL of a service found, so it holds an example\n"
        )
    );
    assert!(check(folder.path(), "sidefuse.yaml").starts_with("sidefuse.yaml: ok, 1 route"));
    for arguments in [["nowhere"], ["sidefuse.yaml"]] {
        let output = init(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("error: cannot read "));
    }
}
