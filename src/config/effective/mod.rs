//! The effective configuration: with the values of all keys that are not written, and the origin of each value.
//!
//! It is made when it is asked for, from the text and the descriptions of the keys that the walk reads by, so it cannot differ from
//! what is in force. Secrets are masked, and a reference to the environment is shown as it is written.

mod fill;
mod item;
mod origin;
mod row;
mod secret;
mod source;
mod yaml;

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

pub use row::{Row, table};
pub use source::Source;

use super::compile::{lay, spell_out_settings};
use super::expand::expand;
use super::keys::{FILE, OVERRIDE, ROUTE};
use super::preset::{Presets, merge};
use super::problem::Problems;
use super::suggest;
use super::tree::{Entry, Node, Scalar, Span, Value};
use super::yaml as reader;
use fill::Filler;
use item::{Item, What};
use origin::{Layer, Origin, Whose};

/// Keys of the file that are shown in another form, or only by their effect.
const LAYERS: [&str; 4] = ["defaults", "presets", "routes", "overrides"];

impl Source {
    /// The values in force for all routes, one by one, and the names of the routes in the order of the file.
    #[must_use]
    pub fn shared(&self) -> Option<(Vec<Row>, Vec<String>)> {
        let effective = Effective::wanted(self, &|_| false)?;
        let names = effective.routes().map(str::to_owned).collect();
        Some((effective.shared(), names))
    }

    /// The values in force for a route, one by one, its override first; `None` when there is no such route.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<Vec<Row>> {
        Effective::wanted(self, &|route| route == name)?.route(name)
    }

    /// The name of a route that was probably meant.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        let effective = Effective::wanted(self, &|_| false)?;
        suggest::nearest(name, effective.routes()).map(str::to_owned)
    }
}

/// A configuration with all values in force.
pub struct Effective<'s> {
    source: &'s Source,
    root: Node,
    /// The layer below every preset.
    base: Node,
}

impl<'s> Effective<'s> {
    /// Reads the source again. `None` if it is no configuration, which does not happen for the source of a valid one.
    #[must_use]
    pub fn of(source: &'s Source) -> Option<Self> {
        Self::wanted(source, &|_| true)
    }

    /// The same with the settings of those routes only.
    fn wanted(source: &'s Source, is_wanted: &dyn Fn(&str) -> bool) -> Option<Self> {
        let mut problems = Problems::default();
        let mut root = reader::parse_wanted(&source.text, is_wanted, &mut problems)?;
        expand(&mut root, &|name| source.variable(name), &mut problems);
        spell_out_settings(&mut root);
        let base = match root.entry("defaults") {
            Some(defaults) => merge(&Presets::base(), &defaults.node, &ROUTE),
            None => Presets::base(),
        };
        Some(Self { source, root, base })
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.origin
    }

    fn routes(&self) -> impl Iterator<Item = &str> {
        self.named("routes")
            .iter()
            .map(|entry| entry.key.text.as_str())
    }

    fn shared(&self) -> Vec<Row> {
        row::rows(&self.top(), self.file())
    }

    fn route(&self, name: &str) -> Option<Vec<Row>> {
        let entry = self.named("routes").iter().find(|it| it.key.text == name)?;
        let hold = self.named("overrides").iter();
        let hold = hold
            .filter(|it| it.key.text == name)
            .map(|it| ("override".to_owned(), self.hold(&it.node)));
        let settings = self.settings(&entry.node);
        let all: Vec<(String, Item)> = hold.chain(settings).collect();
        Some(row::rows(&all, self.file()))
    }

    /// A configuration of the same meaning with everything written, except secrets.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "# What counts in {}, with everything that it does not say. Made by `sidefuse config`; secrets are masked.\n",
            self.file()
        );
        text.push_str(&yaml::document(&self.top()));
        for (key, item) in [("presets", self.presets()), ("overrides", self.overrides())] {
            if let Some(item) = item {
                text.push('\n');
                text.push_str(&yaml::document(&[(key.to_owned(), item)]));
            }
        }
        text.push_str("\nroutes:\n");
        for Entry { key, node } in self.named("routes") {
            text.push_str(&yaml::below(&key.text, &self.settings(node)));
        }
        text
    }

    /// The same as JSON.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut document = Map::new();
        for (key, item) in self.top() {
            document.extend(row::json(&item).map(|value| (key, value)));
        }
        for (key, item) in [("presets", self.presets()), ("overrides", self.overrides())] {
            let value = item.and_then(|item| row::json(&item));
            document.extend(value.map(|value| (key.to_owned(), value)));
        }
        let routes = self.named("routes").iter().map(|Entry { key, node }| {
            let settings = What::Mapping(self.settings(node));
            let value = row::json(&Item::new(settings, Origin::File(node.span)));
            (key.text.clone(), value.unwrap_or(Json::Null))
        });
        document.insert("routes".to_owned(), Json::Object(routes.collect()));
        Json::Object(document)
    }

    fn named(&self, key: &str) -> &[Entry] {
        self.root
            .entry(key)
            .map_or(&[][..], |entry| entry.node.entries())
    }

    /// The keys at the top of the file.
    fn top(&self) -> Vec<(String, Item)> {
        let filler = Filler {
            env: &|name| self.source.variable(name),
            layers: &[],
        };
        filler.mapping(&FILE, self.root.entries(), &LAYERS)
    }

    fn settings(&self, route: &Node) -> Vec<(String, Item)> {
        let written: Vec<&Entry> = self.named("presets").iter().collect();
        let presets = Presets::new(&written);
        let mut problems = Problems::default();
        let (_, laid) = lay(route, &self.base, &presets, &mut problems);
        let mut layers = vec![Layer {
            whose: Whose::Route,
            settings: Cow::Borrowed(route),
        }];
        if let Some(Entry {
            node:
                Node {
                    value: Value::Scalar(preset),
                    span,
                },
            ..
        }) = laid.entry("preset")
        {
            layers.extend(preset_layers(&presets, preset, *span));
        }
        if let Some(defaults) = self.root.entry("defaults") {
            layers.push(Layer {
                whose: Whose::Defaults,
                settings: Cow::Borrowed(&defaults.node),
            });
        }
        layers.push(Layer {
            whose: Whose::BuiltIn,
            settings: Cow::Owned(Presets::base()),
        });
        let filler = Filler {
            env: &|name| self.source.variable(name),
            layers: &layers,
        };
        filler.mapping(&ROUTE, laid.entries(), &[])
    }

    /// The presets by name only: their settings stand in the routes.
    fn presets(&self) -> Option<Item> {
        let filler = Filler {
            env: &|name| self.source.variable(name),
            layers: &[],
        };
        let presets: Vec<(String, Item)> = self
            .named("presets")
            .iter()
            .map(|Entry { key, node }| (key.text.clone(), filler.name_alone(node)))
            .collect();
        let place = self.root.entry("presets")?.node.span;
        (!presets.is_empty()).then(|| Item::new(What::Mapping(presets), Origin::File(place)))
    }

    fn overrides(&self) -> Option<Item> {
        let entry = self.root.entry("overrides")?;
        let holds: Vec<(String, Item)> = entry
            .node
            .entries()
            .iter()
            .map(|hold| (hold.key.text.clone(), self.hold(&hold.node)))
            .collect();
        let origin = Origin::Override(entry.node.span);
        (!holds.is_empty()).then(|| Item::new(What::Mapping(holds), origin))
    }

    fn hold(&self, written: &Node) -> Item {
        let layers = [Layer {
            whose: Whose::Override,
            settings: Cow::Borrowed(written),
        }];
        let filler = Filler {
            env: &|name| self.source.variable(name),
            layers: &layers,
        };
        let settings = filler.mapping(&OVERRIDE, written.entries(), &[]);
        Item::new(What::Mapping(settings), Origin::Override(written.span))
    }
}

/// The layers of a preset, from the top.
fn preset_layers<'n>(presets: &Presets<'n>, name: &Scalar, at: Span) -> Vec<Layer<'n>> {
    let Some(chain) = presets.chain(name, at, &mut Problems::default()) else {
        return Vec::new();
    };
    let file = chain.file.into_iter().map(|entry| Layer {
        whose: Whose::Preset(entry.key.text.clone()),
        settings: Cow::Borrowed(&entry.node),
    });
    let built_in = chain.built_in.map(|(name, settings)| Layer {
        whose: Whose::BuiltInPreset(name),
        settings: Cow::Owned(settings),
    });
    file.chain(built_in).collect()
}
