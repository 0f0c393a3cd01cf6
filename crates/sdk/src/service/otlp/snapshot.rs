//! What the process's metrics are at a moment, read from the text that Prometheus gets.
//!
//! The recorder behind it shows its numbers in that text only. Reading it keeps one truth for both kinds of readers and costs
//! nothing while nothing is exported.

use std::str::FromStr;

/// One metric with all its label sets.
#[derive(Debug, PartialEq)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) kind: Kind,
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The numbers of one label set.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Point {
    pub(super) labels: Vec<(String, String)>,
    /// A counter's or gauge's value; a histogram's sum.
    pub(super) value: f64,
    /// A histogram's buckets: upper bound and how many were at most that, the one without a bound last.
    pub(super) buckets: Vec<(f64, u64)>,
}

/// Reads the text. Lines that are none of these three kinds are left out.
pub(super) fn read(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap_or((rest, ""));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.extend(family(rest, help));
        } else if let Some(family) = families.last_mut() {
            family.take(line);
        }
    }
    families
}

fn family(declared: &str, help: (&str, &str)) -> Option<Family> {
    let (name, kind) = declared.split_once(' ')?;
    let kind = match kind {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        _ => return None,
    };
    let help = if help.0 == name { help.1.to_owned() } else { String::new() };
    Some(Family { name: name.to_owned(), help, kind, points: Vec::new() })
}

impl Family {
    /// Adds a line; one of another metric says nothing here.
    fn take(&mut self, line: &str) {
        let Some((name, mut labels, value)) = sample(line) else { return };
        let Some(part) = name.strip_prefix(self.name.as_str()) else { return };
        match (self.kind, part) {
            (Kind::Counter | Kind::Gauge, "") => {
                if let Ok(value) = f64::from_str(value) {
                    self.points.push(Point { labels, value, buckets: Vec::new() });
                }
            }
            (Kind::Histogram, "_bucket") => {
                let Some(at) = labels.iter().position(|(name, _)| name == "le") else { return };
                let (_, bound) = labels.remove(at);
                // Prometheus writes `+Inf`, which is what a float's own text is read from, too.
                if let (Ok(bound), Ok(count)) = (bound.parse(), value.parse()) {
                    self.point(labels).buckets.push((bound, count));
                }
            }
            (Kind::Histogram, "_sum") => {
                if let Ok(sum) = value.parse() {
                    self.point(labels).value = sum;
                }
            }
            _ => {}
        }
    }

    /// The point of a label set: a histogram's lines stand one after the other.
    fn point(&mut self, labels: Labels) -> &mut Point {
        let same = self.points.last().is_some_and(|point| point.labels == labels);
        if !same {
            self.points.push(Point { labels, ..Point::default() });
        }
        let last = self.points.len() - 1;
        &mut self.points[last]
    }
}

/// Names and values.
type Labels = Vec<(String, String)>;

/// Name, labels and value of a line.
fn sample(line: &str) -> Option<(&str, Labels, &str)> {
    match line.split_once('{') {
        None => {
            let (name, value) = line.split_once(' ')?;
            Some((name, Vec::new(), value.trim()))
        }
        Some((name, rest)) => {
            let (labels, value) = labels(rest)?;
            Some((name, labels, value.trim()))
        }
    }
}

/// Labels up to the closing brace, and what is behind it.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use metrics::{counter, gauge, histogram};

    use super::*;
    use crate::metric;
    use crate::service::metrics::builder;

    #[test]
    fn what_the_recorder_writes_is_read_again() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metric::describe();
            for destination in ["crm", "a \"b\\c\n{,}="] {
                histogram!(metric::DELIVERY_DURATION, "destination" => destination).record(0.003);
                histogram!(metric::DELIVERY_DURATION, "destination" => destination).record(99.0);
            }
            counter!(metric::DELIVERY_ATTEMPTS, "destination" => "crm", "class" => "delivered").increment(7);
            gauge!(metric::CHANNEL_OLDEST).set(0.25);
        });
        let families = read(&recorder.handle().render());
        let of = |name: &str| families.iter().find(|family| family.name == name).unwrap();
        let attempts = of(metric::DELIVERY_ATTEMPTS);
        assert_eq!((attempts.kind, attempts.points[0].value, attempts.points.len()), (Kind::Counter, 7.0, 1));
        assert!(attempts.help.starts_with("Attempts, by destination"), "{}", attempts.help);
        assert_eq!(attempts.points[0].labels.len(), 2);
        assert_eq!(
            (of(metric::CHANNEL_OLDEST).kind, of(metric::CHANNEL_OLDEST).points[0].value),
            (Kind::Gauge, 0.25)
        );
        let durations = of(metric::DELIVERY_DURATION);
        assert_eq!((durations.kind, durations.points.len()), (Kind::Histogram, 2));
        let mut destinations: Vec<_> =
            durations.points.iter().map(|point| point.labels[0].1.as_str()).collect();
        destinations.sort_unstable();
        assert_eq!(destinations, ["a \"b\\c\n{,}=", "crm"]);
        for point in &durations.points {
            assert_eq!(point.buckets.len(), metric::DURATION_BUCKETS.len() + 1);
            assert_eq!((point.buckets[2], point.buckets[3]), ((0.0025, 0), (0.005, 1)));
            assert_eq!((point.buckets.last(), point.value), (Some(&(f64::INFINITY, 2)), 99.003));
        }
    }

    #[test]
    fn other_text_is_left_out() {
        assert_eq!(read("a 1\n# TYPE b summary\nb{quantile=\"0.5\"} 1\n# TYPE"), []);
        let odd = read("# TYPE c counter\nc{a=\"1\nc{} x\nother 1\nc 1e3\n");
        assert_eq!(odd[0].points, [Point { value: 1000.0, ..Point::default() }]);
    }
}
