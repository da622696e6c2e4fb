//! The cheapest path through a window: literals, matches of both kinds, and some of their combinations.
//!
//! Every position is a node that keeps its cheapest arrival; what the models' decisions and recent sources would be there is
//! worked out when the node is visited, for that one arrival only. A match of the nice length ends the search: it is taken.

use lz_kit::lz77::{MatchEntry, MatchList, PaddedChunk, WideMatch};

use crate::cost::{Costs, MAX_EDGE};
use crate::delta_matches::{DeltaMatches, delta_length};
use crate::encode::{Effort, WINDOW};
use crate::format::NUM_REPEATS;
use crate::models::{History, ItemWriter, Source};
use crate::offset_slots::SlotTable;

/// Shortest explicit match.
const MIN_EXPLICIT: usize = 2;
/// Shortest path that is written for its paths' meeting; asking the models for all costs must be worth it.
const MIN_PATH: usize = 1024;
const UNREACHED: u32 = u32::MAX;

/// How a node is reached: a match (or none), and perhaps a literal and a repeat of the newest LZ offset behind it.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// Bytes of the match; 0 for none.
    length: u16,
    /// Bytes of the repeat match behind the literal; 0 for none.
    gap: u16,
    /// Without a match and without a gap, the arrival is one literal.
    source: Source,
}

impl Arrival {
    const LITERAL: Self = Self { length: 0, gap: 0, source: Source::LzRepeat(0) };

    fn bytes(self) -> usize {
        let has_literal = self.length == 0 || self.gap > 0;
        usize::from(self.length) + usize::from(has_literal) + usize::from(self.gap)
    }
}

/// What a window is searched in.
pub(crate) struct PathInput<'a> {
    pub(crate) chunk: &'a PaddedChunk,
    /// Where the path begins.
    pub(crate) at: usize,
    /// Where it ends.
    pub(crate) end: usize,
    pub(crate) matches: &'a MatchList<WideMatch>,
    /// Position of the list's first entry.
    pub(crate) list_start: usize,
    pub(crate) slots: &'a SlotTable,
    pub(crate) effort: Effort,
}

/// Why a path ended.
pub(crate) enum Stop {
    /// At the end of the window.
    End,
    /// Where all paths meet: what is written up to there is the best, and the models are asked again for what follows.
    Meeting { at: usize },
    /// Before a long match, which is still to be written.
    LongMatch { at: usize, source: Source, length: usize },
}

/// Memory of the search.
#[derive(Debug)]
pub(crate) struct PathFinder {
    costs: Box<Costs>,
    /// Cost of each node's cheapest arrival.
    reached: Vec<u32>,
    arrivals: Vec<Arrival>,
    histories: Vec<History>,
    path: Vec<Arrival>,
    /// The last node that has an arrival.
    farthest: usize,
}

impl PathFinder {
    const NODES: usize = WINDOW + 1;
    pub(crate) const SCRATCH_BYTES: usize =
        Self::NODES * (4 + 2 * size_of::<Arrival>() + size_of::<History>()) + size_of::<Costs>();

    pub(crate) fn new() -> Self {
        Self {
            costs: Box::new(Costs::new()),
            reached: vec![UNREACHED; Self::NODES],
            arrivals: vec![Arrival::LITERAL; Self::NODES],
            histories: vec![History::FIRST; Self::NODES],
            path: Vec::with_capacity(Self::NODES),
            farthest: 0,
        }
    }

    /// Finds the cheapest path and writes its items.
    pub(crate) fn find(
        &mut self,
        input: PathInput<'_>,
        deltas: &mut DeltaMatches,
        writer: &mut ItemWriter,
    ) -> Stop {
        self.costs.take(&writer.decisions, &writer.codes);
        let size = input.end - input.at;
        self.reached[..=size].fill(UNREACHED);
        self.reached[0] = 0;
        self.histories[0] = writer.history;
        self.farthest = 0;
        for node in 0..size {
            if node > 0 {
                self.histories[node] = self.history_at(node);
                if node == self.farthest && node >= MIN_PATH {
                    self.write(&input, node, writer);
                    return Stop::Meeting { at: input.at + node };
                }
            }
            if let Some((source, length)) = self.visit(&input, node, deltas) {
                self.write(&input, node, writer);
                return Stop::LongMatch { at: input.at + node, source, length };
            }
        }
        self.write(&input, size, writer);
        Stop::End
    }

    /// The history behind a node's cheapest arrival.
    #[inline(always)]
    fn history_at(&self, node: usize) -> History {
        let arrival = self.arrivals[node];
        let mut history = self.histories[node - arrival.bytes()];
        if arrival.length > 0 {
            history.add_match(arrival.source);
        }
        if arrival.length == 0 || arrival.gap > 0 {
            history.add_literal();
        }
        if arrival.gap > 0 {
            history.add_match(Source::LzRepeat(0));
        }
        history
    }

    /// Offers everything that can follow at a node to the nodes ahead; a match that is long enough to be taken is
    /// returned instead.
    #[inline(always)]
    fn visit(
        &mut self,
        input: &PathInput<'_>,
        node: usize,
        deltas: &mut DeltaMatches,
    ) -> Option<(Source, usize)> {
        let at = input.at + node;
        let (chunk, data) = (input.chunk, input.chunk.bytes());
        let nice = input.effort.nice_length;
        let room = input.end - at;
        let rest = data.len() - at;
        let history = self.histories[node];
        let cost = self.reached[node];
        let matches = input.matches.at(at - input.list_start);

        if let Some(longest) = matches.last()
            && longest.length() >= nice
        {
            let source = Source::Lz(longest.offset() as u32);
            let length = chunk.match_length(at - longest.offset(), at, longest.length().min(rest), rest);
            // A recent offset that goes as far is cheaper. It is taken as far as it goes: cut at `length`, the rest would be
            // compared to its end again for each piece.
            for index in 0..NUM_REPEATS as u32 {
                let offset = history.lz_offset(index);
                if offset > at {
                    continue;
                }
                let reach = chunk.match_length(at - offset, at, 0, rest);
                if reach >= length {
                    return Some((Source::LzRepeat(index), reach));
                }
            }
            return Some((source, length));
        }

        let literal = cost + self.costs.literal(&history, data[at]);
        self.offer(node + 1, literal, Arrival::LITERAL);
        if node == 0 && at == 0 {
            if input.effort.finds_deltas {
                deltas.find(data, at, 0, |_, _| {});
            }
            return None;
        }
        if input.effort.tries_gaps {
            self.offer_literal_gap(input, node, literal, &history);
        }
        let mut longest_repeat = 1;
        let lz = cost + self.costs.lz(&history);
        let word = chunk.load_u32(at);
        for index in 0..NUM_REPEATS as u32 {
            let offset = history.lz_offset(index);
            if offset > at || (chunk.load_u32(at - offset) ^ word) & 0xff != 0 {
                continue;
            }
            let length = chunk.match_length(at - offset, at, 1, rest.min(MAX_EDGE));
            if length >= nice {
                let length = chunk.match_length(at - offset, at, length, rest);
                return Some((Source::LzRepeat(index), length));
            }
            let base = lz + self.costs.lz_repeat(&history, index);
            self.offer_lengths(node, base, 1, length.min(room), Source::LzRepeat(index));
            if input.effort.tries_gaps {
                self.offer_gap(input, node, base, (Source::LzRepeat(index), length, offset), &history);
            }
            longest_repeat = longest_repeat.max(length);
        }
        let explicit = lz + self.costs.lz_explicit(&history);
        let mut from = MIN_EXPLICIT;
        for (number, found) in matches.iter().enumerate() {
            let (length, offset) = (found.length(), found.offset());
            let source = Source::Lz(offset as u32);
            let base = explicit + self.costs.offset(input.slots.slot_of(offset as u32));
            self.offer_lengths(node, base, from, length.min(room), source);
            if input.effort.tries_gaps && number + 1 == matches.len() {
                self.offer_gap(input, node, base, (source, length, offset), &history);
            }
            from = length + 1;
        }
        if input.effort.finds_deltas {
            return self.visit_deltas(input, node, deltas, (longest_repeat.max(from - 1), cost));
        }
        None
    }

    /// The delta matches of a node; `beat` is the longest LZ match there.
    #[inline(always)]
    fn visit_deltas(
        &mut self,
        input: &PathInput<'_>,
        node: usize,
        deltas: &mut DeltaMatches,
        (beat, cost): (usize, u32),
    ) -> Option<(Source, usize)> {
        let at = input.at + node;
        let data = input.chunk.bytes();
        let (room, limit) = (input.end - at, (data.len() - at).min(MAX_EDGE));
        let history = self.histories[node];
        let base = cost + self.costs.delta(&history);
        let mut long = None;
        for index in 0..NUM_REPEATS as u32 {
            let source = history.delta_source(index);
            let length = delta_length(data, at, source, limit);
            if length >= 2 {
                let base = base + self.costs.delta_repeat(&history, index);
                self.offer_lengths(node, base, 2, length.min(room), Source::DeltaRepeat(index));
                if length >= input.effort.nice_length && length > beat && long.is_none() {
                    long = Some((Source::DeltaRepeat(index), source));
                }
            }
        }
        deltas.find(data, at, limit, |source, length| {
            let slot = input.slots.slot_of(source.raw);
            let base = base + self.costs.delta_explicit(&history, source.power, slot);
            self.offer_lengths(node, base, 3, length.min(room), Source::Delta(source));
            if length >= input.effort.nice_length && length > beat && long.is_none() {
                long = Some((Source::Delta(source), source));
            }
        });
        long.map(|(source, delta)| (source, delta_length(data, at, delta, data.len() - at)))
    }

    /// Offers a match of each length from `from` to `to` to the nodes ahead.
    #[inline(always)]
    fn offer_lengths(&mut self, node: usize, base: u32, from: usize, to: usize, source: Source) {
        for length in from..=to.min(MAX_EDGE) {
            let cost = base + u32::from(self.costs.lengths[length]);
            self.offer(node + length, cost, Arrival { length: length as u16, gap: 0, source });
        }
    }

    /// Offers a match of full length, one literal and a match at the same offset as one arrival: the node behind the literal
    /// may have a cheaper one with other recent offsets, and then this path would never be found.
    #[inline(always)]
    fn offer_gap(
        &mut self,
        input: &PathInput<'_>,
        node: usize,
        base: u32,
        (source, length, offset): (Source, usize, usize),
        history: &History,
    ) {
        let beyond = input.at + node + length + 1;
        if beyond + 2 > input.end || length > MAX_EDGE {
            return;
        }
        let chunk = input.chunk;
        if (chunk.load_u32(beyond) ^ chunk.load_u32(beyond - offset)) & 0xffff != 0 {
            return;
        }
        let gap = chunk.match_length(beyond - offset, beyond, 2, (input.end - beyond).min(MAX_EDGE));
        let mut after = *history;
        after.add_match(source);
        let mut cost = base + u32::from(self.costs.lengths[length]);
        cost += self.costs.literal(&after, chunk.byte(beyond - 1));
        after.add_literal();
        cost += self.costs.lz(&after) + self.costs.lz_repeat(&after, 0) + u32::from(self.costs.lengths[gap]);
        self.offer(node + length + 1 + gap, cost, Arrival { length: length as u16, gap: gap as u16, source });
    }

    /// Offers a literal and a match at the newest LZ offset as one arrival, as [`Self::offer_gap`].
    #[inline(always)]
    fn offer_literal_gap(&mut self, input: &PathInput<'_>, node: usize, literal: u32, history: &History) {
        let beyond = input.at + node + 1;
        if beyond + 2 > input.end {
            return;
        }
        let mut after = *history;
        after.add_literal();
        let offset = after.lz_offset(0);
        let chunk = input.chunk;
        if offset > beyond || (chunk.load_u32(beyond) ^ chunk.load_u32(beyond - offset)) & 0xffff != 0 {
            return;
        }
        let gap = chunk.match_length(beyond - offset, beyond, 2, (input.end - beyond).min(MAX_EDGE));
        let cost = literal
            + self.costs.lz(&after)
            + self.costs.lz_repeat(&after, 0)
            + u32::from(self.costs.lengths[gap]);
        self.offer(node + 1 + gap, cost, Arrival { length: 0, gap: gap as u16, source: Source::LzRepeat(0) });
    }

    #[inline(always)]
    fn offer(&mut self, node: usize, cost: u32, arrival: Arrival) {
        self.farthest = self.farthest.max(node);
        if cost < self.reached[node] {
            self.reached[node] = cost;
            self.arrivals[node] = arrival;
        }
    }

    /// Writes the items of the cheapest path to a node.
    fn write(&mut self, input: &PathInput<'_>, node: usize, writer: &mut ItemWriter) {
        let mut back = node;
        self.path.clear();
        while back > 0 {
            let arrival = self.arrivals[back];
            self.path.push(arrival);
            back -= arrival.bytes();
        }
        let mut at = input.at;
        for arrival in self.path.iter().rev() {
            let first = at;
            if arrival.length > 0 {
                writer.copy(arrival.source, usize::from(arrival.length));
                at += usize::from(arrival.length);
            }
            if arrival.length == 0 || arrival.gap > 0 {
                writer.literal(input.chunk.byte(at));
                at += 1;
            }
            if arrival.gap > 0 {
                writer.copy(Source::LzRepeat(0), usize::from(arrival.gap));
                at += usize::from(arrival.gap);
            }
            debug_assert_eq!(at - first, arrival.bytes());
        }
    }
}
