//! Finds `openmail_tower` if the attribute does not say where it is: under the name that the
//! package's `Cargo.toml` gives it.

use std::{env, fs, path::Path as File};

use proc_macro2::Span;
use syn::{Ident, Path, parse_quote};

/// Returns the crate's path in the calling package.
pub(crate) fn path() -> Path {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|folder| fs::read_to_string(File::new(&folder).join("Cargo.toml")).ok());
    match manifest.as_deref().and_then(name) {
        Some(name) => {
            let name = Ident::new(&name, Span::call_site());
            parse_quote!(::#name)
        }
        None => parse_quote!(::openmail_tower),
    }
}

/// Returns the name under which a manifest depends on the package, if it is renamed.
///
/// Only the two usual forms are recognised, since a whole TOML parser is more than an attribute
/// should depend on. For other forms there is `crate = "…"`.
fn name(manifest: &str) -> Option<String> {
    let mut found = None;
    let mut table = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']');
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.split_whitespace().collect::<String>());
        let is_dependency = table.ends_with("dependencies");
        if is_dependency && (key == "openmail-tower" || key.starts_with("openmail-tower.")) {
            return None;
        }
        if is_dependency && value.contains("package=\"openmail-tower\"") {
            found.get_or_insert(key);
        }
        if key == "package"
            && value == "\"openmail-tower\""
            && let Some((tables, name)) = table.rsplit_once('.')
            && tables.ends_with("dependencies")
        {
            found.get_or_insert(name);
        }
    }
    let name = found?.replace('-', "_");
    syn::parse_str::<Ident>(&name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn finds_a_renamed_dependency() {
        for manifest in [
            "[package]\nname = \"x\"\n[dependencies]\nom = { package = \"openmail-tower\", version = \"1\" }",
            "[dependencies]\nom={version=\"1\",package=\"openmail-tower\"}",
            "[dependencies.om]\npackage = \"openmail-tower\"\nversion = \"1\"",
            "[dev-dependencies]\nom = { package = \"openmail-tower\", path = \"..\" }",
            "[target.'cfg(unix)'.dependencies.om]\npackage = \"openmail-tower\"",
        ] {
            assert_eq!(name(manifest).as_deref(), Some("om"), "{manifest}");
        }
        let dashed = "[dependencies]\nopen-mail = { package = \"openmail-tower\" }";
        assert_eq!(name(dashed).as_deref(), Some("open_mail"));
    }

    #[test]
    fn ignores_a_dependency_under_its_own_name() {
        for manifest in [
            "",
            "[package]\nname = \"openmail-tower\"",
            "[dependencies]\nopenmail-tower = \"1\"\nother = { package = \"openmail-tower-fork\" }",
            "[dependencies]\nopenmail-tower = \"1\"\nold = { package = \"openmail-tower\", version = \"0.1\" }",
            "[dependencies]\n# om = { package = \"openmail-tower\" }",
        ] {
            assert_eq!(name(manifest), None, "{manifest}");
        }
    }
}
