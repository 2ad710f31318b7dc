//! A tree of the names that the JSON parser looks for.

use actix_rateguard_grammar::KeyPart;

use super::json_names::{NGINX_NAMES, Slot, USUAL_NAMES};
use crate::replay::fields::{ExtraFields, FieldMapping, FieldName};
use crate::replay::record::TextField;

/// The meaning of a field, and its rank: a field with a lower rank replaces a field with a higher rank.
pub(super) type Target = (Slot, u16);

/// The rank of the nginx names in an inner object, after that of all names in the outer object.
const INNER_RANK: u16 = 1_000;

#[derive(Default)]
struct Node {
    children: Vec<(Box<str>, usize)>,
    target: Option<Target>,
}

/// A tree of names. Node 0 is the whole object, and node 1 an inner object with an unknown name.
pub(super) struct NameTree {
    nodes: Vec<Node>,
}

impl NameTree {
    pub(super) const ROOT: usize = 0;
    pub(super) const UNKNOWN: usize = 1;

    pub(super) fn new(mappings: &[FieldMapping], extras: &ExtraFields) -> Self {
        let mut tree = Self { nodes: vec![Node::default(), Node::default()] };
        for mapping in mappings {
            if let Some(slot) = slot_of(&mapping.name, extras) {
                tree.add(Self::ROOT, &mapping.json_path, (slot, 0));
            }
        }
        let is_mapped = |slot: Slot| mappings.iter().any(|it| replaces(&it.name, slot));
        let names = [(Self::ROOT, 1, USUAL_NAMES), (Self::UNKNOWN, INNER_RANK, NGINX_NAMES)];
        for (node, first_rank, names) in names {
            for (slot, names) in names.iter().filter(|(slot, _)| !is_mapped(*slot)) {
                for (rank, name) in (first_rank..).zip(*names) {
                    tree.add(node, name, (*slot, rank));
                }
            }
        }
        for (part, field) in extras.iter() {
            let TextField::Extra(index) = field else { continue };
            if let KeyPart::Header(name) = part
                && !mappings.iter().any(|it| it.name == FieldName::Key(part.clone()))
            {
                tree.add_header(name, Slot::Extra(index));
            }
        }
        tree
    }

    /// Adds the names under which nginx, Traefik and Caddy write a request header.
    fn add_header(&mut self, name: &str, slot: Slot) {
        let capitalized: Vec<String> = name
            .split('-')
            .map(|word| {
                let (first, rest) = word.split_at_checked(1).unwrap_or(("", word));
                first.to_uppercase() + rest
            })
            .collect();
        let capitalized = capitalized.join("-");
        let nginx = format!("http_{}", name.replace('-', "_"));
        let names = [
            nginx,
            format!("request_{capitalized}"),
            format!("request.headers.{capitalized}"),
            name.to_owned(),
        ];
        for (rank, name) in (1..).zip(&names) {
            self.add(Self::ROOT, name, (slot, rank));
        }
    }

    /// Adds a name with dots, both as names of nested objects and as one name.
    fn add(&mut self, from: usize, path: &str, target: Target) {
        let whole = self.child_or_new(from, path);
        self.set_target(whole, target);
        if path.contains('.') {
            let node = path.split('.').fold(from, |node, name| self.child_or_new(node, name));
            self.set_target(node, target);
        }
    }

    fn set_target(&mut self, node: usize, target: Target) {
        if let Some(node) = self.nodes.get_mut(node)
            && node.target.is_none_or(|(_, rank)| target.1 < rank)
        {
            node.target = Some(target);
        }
    }

    fn child_or_new(&mut self, parent: usize, name: &str) -> usize {
        if let Some(child) = self.child(parent, name) {
            return child;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.push((name.into(), child));
        }
        child
    }

    /// Returns the node of a name in the object of a node.
    pub(super) fn child(&self, parent: usize, name: &str) -> Option<usize> {
        let children = &self.nodes.get(parent)?.children;
        children.iter().find(|(it, _)| **it == *name).map(|(_, child)| *child)
    }

    pub(super) fn target(&self, node: usize) -> Option<Target> {
        self.nodes.get(node)?.target
    }
}

/// Returns the meaning of a field that the user names.
fn slot_of(name: &FieldName, extras: &ExtraFields) -> Option<Slot> {
    Some(match name {
        FieldName::Time => Slot::Time { is_start: false },
        FieldName::Ip => Slot::Ip,
        FieldName::User => Slot::User,
        FieldName::Method => Slot::Method,
        FieldName::Path => Slot::Path,
        FieldName::Status => Slot::Status,
        FieldName::Duration => Slot::Duration(1e9),
        FieldName::Key(part) => match extras.find(part)? {
            TextField::Extra(index) => Slot::Extra(index),
            _ => return None,
        },
    })
}

/// Returns whether a field that the user names replaces the usual names of this meaning.
fn replaces(name: &FieldName, slot: Slot) -> bool {
    match slot {
        Slot::Time { .. } => *name == FieldName::Time,
        Slot::Ip => *name == FieldName::Ip,
        Slot::User => *name == FieldName::User,
        Slot::Method => *name == FieldName::Method,
        Slot::Path => *name == FieldName::Path,
        Slot::Status => *name == FieldName::Status,
        Slot::Duration(_) => *name == FieldName::Duration,
        Slot::RequestLine | Slot::Extra(_) => false,
    }
}
