//! How the segments of a path lie under a route template such as `/users/{id}/{*rest}`.

/// What a template says about one segment of the path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segment<'t> {
    /// It stands in the template literally, or nothing is known of it.
    Literal,
    /// It holds the parameter `name`, between a literal `prefix` and `suffix`.
    Param {
        name: &'t str,
        prefix: usize,
        suffix: usize,
    },
    /// It belongs to the parameter `name`, which takes the rest of the path.
    Rest { name: &'t str },
}

/// Lays `template` over `path`, both without their leading slash: one entry per segment of the path.
///
/// A router inside a router may see a path whose front was stripped, while the template is whole:
/// then the template's tail is tried. A path that was cut fits with its front.
pub(super) fn lay<'t>(template: &'t str, path: &[u8]) -> Option<Vec<Segment<'t>>> {
    let parts: Vec<&str> = template.split('/').collect();
    let path: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    (0..parts.len())
        .find_map(|skip| fit(&parts[skip..], &path, Whole::Yes))
        .or_else(|| fit(&parts, &path, Whole::FrontOnly))
}

/// Names of all parameters of a template.
pub(super) fn names(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('/')
        .filter_map(|part| param(part).map(|param| param.name))
}

#[derive(Clone, Copy, PartialEq)]
enum Whole {
    Yes,
    FrontOnly,
}

fn fit<'t>(parts: &[&'t str], path: &[&[u8]], whole: Whole) -> Option<Vec<Segment<'t>>> {
    let mut segments = Vec::with_capacity(path.len());
    for (at, segment) in path.iter().enumerate() {
        let part = parts.get(at)?;
        let may_be_cut = whole == Whole::FrontOnly && at + 1 == path.len();
        match param(part) {
            Some(param) if param.rest => {
                segments.resize(path.len(), Segment::Rest { name: param.name });
                return Some(segments);
            }
            Some(param) => segments.push(param.segment(segment)?),
            None => {
                let literal = unbraced(part);
                let literal = literal.as_bytes();
                let fits = literal == *segment || (may_be_cut && literal.starts_with(segment));
                if !fits {
                    return None;
                }
                segments.push(Segment::Literal);
            }
        }
    }
    (whole == Whole::FrontOnly || parts.len() == path.len()).then_some(segments)
}

struct Param<'t> {
    name: &'t str,
    prefix: &'t str,
    suffix: &'t str,
    rest: bool,
}

impl<'t> Param<'t> {
    fn segment(&self, segment: &[u8]) -> Option<Segment<'t>> {
        let (prefix, suffix) = (self.prefix.len(), self.suffix.len());
        let fits = segment.len() >= prefix + suffix
            && segment.starts_with(self.prefix.as_bytes())
            && segment.ends_with(self.suffix.as_bytes());
        fits.then_some(Segment::Param {
            name: self.name,
            prefix,
            suffix,
        })
    }
}

/// The parameter in one part of a template: `{id}`, `{*rest}`, `{name}.json`; `{id:regex}`, `:id`
/// and `*rest` of other routers too.
fn param(part: &str) -> Option<Param<'_>> {
    if let Some(name) = part.strip_prefix(':') {
        return Some(Param {
            name,
            prefix: "",
            suffix: "",
            rest: false,
        });
    }
    if let Some(name) = part.strip_prefix('*') {
        return Some(Param {
            name,
            prefix: "",
            suffix: "",
            rest: true,
        });
    }
    let (prefix, from) = part.split_once('{')?;
    let (inside, suffix) = from.rsplit_once('}')?;
    if inside.starts_with('{') || inside.is_empty() {
        return None;
    }
    let rest = inside.starts_with('*');
    let inside = inside.strip_prefix('*').unwrap_or(inside);
    let name = inside.split_once(':').map_or(inside, |(name, _)| name);
    Some(Param {
        name,
        prefix,
        suffix,
        rest,
    })
}

/// A template doubles a brace to mean itself.
fn unbraced(part: &str) -> String {
    part.replace("{{", "{").replace("}}", "}")
}
