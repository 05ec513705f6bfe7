//! The public surface of the library, as it stands in `checker/api.txt`.
//!
//! Read from the sources, so that it needs neither a nightly compiler nor the network: every item that a path of
//! public modules and re-exports leads to, with the signatures of its public functions, its public fields and its
//! variants. What the listing does not show (generic implementations, macros) this crate does not have.
//! `UPDATE_DOCS=1 cargo test -p pullcheck --test api` writes it anew: whoever does so decides that others may rely on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, Type, UseTree, Visibility};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every module by its path, `[]` for the crate.
#[derive(Default)]
struct Sources {
    modules: BTreeMap<Vec<String>, Vec<Item>>,
}

impl Sources {
    fn read(file: &Path, path: Vec<String>, into: &mut Self) {
        let text =
            fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let items = syn::parse_file(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            .items;
        for item in &items {
            if let Item::Mod(module) = item
                && module.content.is_none()
                && !for_tests(&module.attrs)
            {
                let name = module.ident.to_string();
                let mut inner = path.clone();
                inner.push(name);
                Self::read(&file_of(&inner), inner, into);
            }
        }
        into.modules.insert(path, items);
    }

    /// The module and the name that a path of a `use` leads to, if it is one of the crate's own.
    fn resolve(&self, from: &[String], path: &[String]) -> Option<(Vec<String>, String)> {
        let mut at = from.to_vec();
        let (name, heads) = path.split_last()?;
        for (position, head) in heads.iter().enumerate() {
            match (head.as_str(), position) {
                ("crate", 0) => at.clear(),
                ("self", 0) => {}
                ("super", _) => {
                    at.pop();
                }
                _ => {
                    at.push(head.clone());
                    if !self.modules.contains_key(&at) {
                        return None;
                    }
                }
            }
        }
        let items = self.modules.get(&at)?;
        if items
            .iter()
            .any(|item| name_of(item).as_deref() == Some(name))
        {
            return Some((at, name.clone()));
        }
        // Re-exported there once more.
        uses(items, false)
            .into_iter()
            .find(|(_, exported)| exported == name)
            .and_then(|(path, _)| self.resolve(&at, &path))
    }

    fn defined(&self, module: &[String], name: &str) -> Option<&Item> {
        let items = self.modules.get(module)?;
        items
            .iter()
            .find(|item| name_of(item).as_deref() == Some(name))
    }

    /// Inherent implementations of a type, wherever in the crate they stand.
    fn implementations<'a>(
        &'a self,
        module: &'a [String],
        name: &'a str,
    ) -> impl Iterator<Item = &'a ItemImpl> {
        self.modules.iter().flat_map(move |(at, items)| {
            items.iter().filter_map(move |item| {
                let Item::Impl(found) = item else { return None };
                let Type::Path(of) = &*found.self_ty else {
                    return None;
                };
                let written: Vec<String> = of
                    .path
                    .segments
                    .iter()
                    .map(|one| one.ident.to_string())
                    .collect();
                let named = written.last().is_some_and(|last| last == name);
                let is_it = named && self.leads_to(at, &written, module, name);
                (is_it && found.trait_.is_none()).then_some(found)
            })
        })
    }

    fn leads_to(&self, at: &[String], written: &[String], module: &[String], name: &str) -> bool {
        let direct = |path: &[String]| {
            self.resolve(at, path)
                .is_some_and(|(found, last)| found == module && last == name)
        };
        let imported = self.modules.get(at).is_some_and(|items| {
            uses(items, false)
                .into_iter()
                .any(|(path, exported)| Some(&exported) == written.first() && direct(&path))
        });
        direct(written) || imported
    }
}

fn file_of(path: &[String]) -> PathBuf {
    let base = path
        .iter()
        .fold(Path::new(ROOT).join("src"), |at, part| at.join(part));
    let alone = base.with_extension("rs");
    if alone.exists() {
        alone
    } else {
        base.join("mod.rs")
    }
}

fn for_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|one| one.path().is_ident("cfg") && shown(&one.meta).contains("test"))
}

fn name_of(item: &Item) -> Option<String> {
    Some(
        match item {
            Item::Const(it) => &it.ident,
            Item::Enum(it) => &it.ident,
            Item::Fn(it) => &it.sig.ident,
            Item::Mod(it) => &it.ident,
            Item::Static(it) => &it.ident,
            Item::Struct(it) => &it.ident,
            Item::Trait(it) => &it.ident,
            Item::Type(it) => &it.ident,
            _ => return None,
        }
        .to_string(),
    )
}

/// Each name that the `use` items bring in, with its path; those that are public alone, if wanted.
fn uses(items: &[Item], public: bool) -> Vec<(Vec<String>, String)> {
    fn walk(tree: &UseTree, path: &[String], into: &mut Vec<(Vec<String>, String)>) {
        let with = |name: String| [path, &[name]].concat();
        match tree {
            UseTree::Path(one) => walk(&one.tree, &with(one.ident.to_string()), into),
            UseTree::Name(one) if one.ident == "self" => {
                into.push((path.to_vec(), path.last().cloned().unwrap_or_default()));
            }
            UseTree::Name(one) => into.push((with(one.ident.to_string()), one.ident.to_string())),
            UseTree::Rename(one) => {
                into.push((with(one.ident.to_string()), one.rename.to_string()));
            }
            UseTree::Group(group) => group.items.iter().for_each(|one| walk(one, path, into)),
            UseTree::Glob(_) => into.push((with("*".into()), "*".into())),
        }
    }
    let mut found = Vec::new();
    for item in items {
        if let Item::Use(one) = item
            && (!public || is_public(&one.vis))
        {
            walk(&one.tree, &[], &mut found);
        }
    }
    found
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Tokens as a person would write them.
fn shown(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        (" :", ":"),
        ("( ", "("),
        (" )", ")"),
        (" (", "("),
        (" ;", ";"),
        ("- >", "->"),
        (",)", ")"),
        (", >", ">"),
    ] {
        text = text.replace(from, to);
    }
    text.replace("->", " -> ").replace("  ", " ")
}

fn derives(attributes: &[Attribute]) -> String {
    let lists: Vec<String> = attributes
        .iter()
        .filter(|one| one.path().is_ident("derive"))
        .filter_map(|one| Some(shown(&one.meta.require_list().ok()?.tokens)))
        .collect();
    if lists.is_empty() {
        String::new()
    } else {
        format!("  [{}]", lists.join(", "))
    }
}

fn fields(at: &str, fields: &Fields, all: bool, lines: &mut Vec<String>) {
    for (number, field) in fields.iter().enumerate() {
        if all || is_public(&field.vis) {
            let name = field
                .ident
                .as_ref()
                .map_or_else(|| number.to_string(), ToString::to_string);
            lines.push(format!("{at}.{name}: {}", shown(&field.ty)));
        }
    }
}

/// Everything about one item under the path that leads to it.
fn item(sources: &Sources, module: &[String], found: &Item, at: &str, lines: &mut Vec<String>) {
    match found {
        Item::Const(it) => return lines.push(format!("const {at}: {}", shown(&it.ty))),
        Item::Static(it) => return lines.push(format!("static {at}: {}", shown(&it.ty))),
        Item::Type(it) => return lines.push(format!("type {at} = {}", shown(&it.ty))),
        Item::Fn(it) => {
            let signature = shown(&it.sig);
            let name = it.sig.ident.to_string();
            return lines.push(signature.replacen(&format!("fn {name}"), &format!("fn {at}"), 1));
        }
        Item::Trait(it) => {
            lines.push(format!("trait {at}"));
            for one in &it.items {
                if let TraitItem::Fn(one) = one {
                    lines.push(format!("{at}::{}", shown(&one.sig)));
                }
            }
            return;
        }
        Item::Struct(it) => {
            lines.push(format!("struct {at}{}", derives(&it.attrs)));
            fields(at, &it.fields, false, lines);
        }
        Item::Enum(it) => {
            lines.push(format!("enum {at}{}", derives(&it.attrs)));
            for variant in &it.variants {
                let name = format!("{at}::{}", variant.ident);
                lines.push(name.clone());
                fields(&name, &variant.fields, true, lines);
            }
        }
        _ => return,
    }
    let name = name_of(found).unwrap_or_default();
    for found in sources.implementations(module, &name) {
        for one in &found.items {
            match one {
                ImplItem::Fn(one) if is_public(&one.vis) => {
                    lines.push(format!("{at}::{}", shown(&one.sig)));
                }
                ImplItem::Const(one) if is_public(&one.vis) => {
                    lines.push(format!("{at}::const {}: {}", one.ident, shown(&one.ty)));
                }
                _ => {}
            }
        }
    }
}

fn list(sources: &Sources, module: &[String], at: &str, lines: &mut Vec<String>) {
    let Some(items) = sources.modules.get(module) else {
        return;
    };
    for found in items {
        let public = match found {
            Item::Const(it) => &it.vis,
            Item::Enum(it) => &it.vis,
            Item::Fn(it) => &it.vis,
            Item::Mod(it) => &it.vis,
            Item::Static(it) => &it.vis,
            Item::Struct(it) => &it.vis,
            Item::Trait(it) => &it.vis,
            Item::Type(it) => &it.vis,
            _ => continue,
        };
        if !is_public(public) {
            continue;
        }
        let name = name_of(found).unwrap_or_default();
        let path = format!("{at}::{name}");
        if let Item::Mod(inner) = found {
            lines.push(format!("mod {path}"));
            match &inner.content {
                Some((_, items)) => {
                    for one in items {
                        item(
                            sources,
                            module,
                            one,
                            &format!("{path}::{}", name_of(one).unwrap_or_default()),
                            lines,
                        );
                    }
                }
                None => list(sources, &[module, &[name]].concat(), &path, lines),
            }
        } else {
            item(sources, module, found, &path, lines);
        }
    }
    for (path, exported) in uses(items, true) {
        let to = format!("{at}::{exported}");
        match sources.resolve(module, &path) {
            Some((module, name)) => {
                if let Some(found) = sources.defined(&module, &name) {
                    item(sources, &module, found, &to, lines);
                }
            }
            None => lines.push(format!("use {to} = {}", path.join("::"))),
        }
    }
}

fn listing() -> String {
    let mut sources = Sources::default();
    Sources::read(
        &Path::new(ROOT).join("src/lib.rs"),
        Vec::new(),
        &mut sources,
    );
    let mut lines = Vec::new();
    list(&sources, &[], "pullcheck", &mut lines);
    // In a fixed order, and no line twice where an item is re-exported beside itself.
    lines.sort();
    lines.dedup();
    lines.push(String::new());
    lines.join("\n")
}

#[test]
fn the_public_surface_is_the_one_that_is_written_down() {
    let path = Path::new(ROOT).join("api.txt");
    let now = listing();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &now).expect("a file that can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let (now, written): (Vec<&str>, Vec<&str>) = (now.lines().collect(), written.lines().collect());
    let more: Vec<&&str> = now.iter().filter(|line| !written.contains(line)).collect();
    let less: Vec<&&str> = written.iter().filter(|line| !now.contains(line)).collect();
    assert!(
        now == written,
        "the public surface is another than api.txt says\nnew: {more:#?}\ngone: {less:#?}\n\
         UPDATE_DOCS=1 cargo test -p pullcheck --test api writes it anew"
    );
}

/// The lister sees what it should: a function, a method in another file, a field, a variant, a re-export.
#[test]
fn the_listing_shows_every_kind() {
    let listing = listing();
    for line in [
        "mod pullcheck::check",
        "pullcheck::verdict::Verdict::Blocked",
        "pullcheck::world::Place.vantage: Vantage",
        "fn pullcheck::explain::explain(message: &str) -> Explanation",
        "pullcheck::keyring::Keyring::fn lookup(&self, image: &Reference) -> Lookup",
    ] {
        assert!(
            listing.lines().any(|one| one == line),
            "{line} is not in\n{listing}"
        );
    }
    for hidden in ["fn pullcheck::explain::judge", "SUFFIXES", "::tests::"] {
        assert!(!listing.contains(hidden), "{hidden}");
    }
}
