//! The near-optimal levels of LZX: spans of the chunk are parsed again and again with better costs.
//!
//! A quick parse of the listed matches tells what each part of the span looks like; blocks are laid out by that, and
//! each is then parsed by cheapest path. Blocks are coded and written by the encoder, not here.

use crate::cost::{Model, Source, set_costs};
use crate::encode::{BlockMaker, recent_after};
use crate::format::{MAX_MATCH_LEN, WindowOrder};
use crate::items::{Frequencies, Item, Items, Rules};
use crate::split::Splitter;
use crate::write_block::{BlockCodes, Lengths};
use lz_kit::Level;
use lz_kit::bitstream::Forward16Writer;
use lz_kit::lz77::{
    BinaryTrees, Match, MatchLimits, MatchList, PaddedChunk, Position, RecentOffsets, SearchEffort,
};
use lz_kit::parse::{GapEdges, PathCosts, PathFinder, PathInput, first_guess};
use std::ops::Range;

/// Most bytes parsed at a time; blocks do not cross the ends of such spans.
const MAX_SPAN: usize = 1 << 17;
/// Greatest offset at which a two-byte match can be cheaper than two literals.
const MAX_OFFSET_OF_TWO: usize = 2048;

/// Parser and scratch of one encoder.
#[derive(Debug)]
pub(crate) struct NearOptimal<P> {
    finder: BinaryTrees<P>,
    limits: MatchLimits,
    plan: Plan,
    matches: MatchList,
    paths: PathFinder,
    costs: PathCosts,
    codes: BlockCodes,
    guess: Items,
    pilot: Items,
    items: Items,
    splitter: Splitter,
    ends: Vec<usize>,
}

/// What a level spends.
#[derive(Clone, Copy, Debug)]
struct Plan {
    effort: SearchEffort,
    /// Cheapest-path parses of each block.
    passes: u32,
    /// Gap edges in the last of them.
    gaps: GapEdges,
    /// Blocks end at multiples of about this many bytes of the quick parse.
    piece_bytes: usize,
}

impl Plan {
    /// Least [`Plan::piece_bytes`] of any level.
    const MIN_PIECE_BYTES: usize = 512;

    fn new(level: Level) -> Self {
        let number = level.number().min(1000);
        let effort = |depth: u32, nice: u32| SearchEffort {
            depth: (depth * number / 50).max(4),
            nice_length: (nice * number / 50) as usize,
        };
        if number < 60 {
            return Self { effort: effort(14, 28), passes: 1, gaps: GapEdges::Longest, piece_bytes: 1024 };
        }
        let passes = match number {
            0..150 => 2,
            150..200 => 3,
            200..300 => 5,
            _ => 8,
        };
        let piece_bytes = if number < 85 { 1024 } else { Self::MIN_PIECE_BYTES };
        Self { effort: effort(18, 40), passes, gaps: GapEdges::All, piece_bytes }
    }
}

impl<P: Position> NearOptimal<P> {
    pub(crate) fn new(window: WindowOrder, level: Level) -> Self {
        let bytes = window.bytes() as usize;
        let span = bytes.min(MAX_SPAN);
        Self {
            finder: BinaryTrees::new(bytes),
            limits: MatchLimits { max_length: MAX_MATCH_LEN, max_offset_of_two: MAX_OFFSET_OF_TWO },
            plan: Plan::new(level),
            matches: MatchList::new(span),
            paths: PathFinder::new(span),
            costs: PathCosts::new(window.num_offset_slots()),
            codes: BlockCodes::new(),
            guess: Items(Vec::with_capacity(span)),
            pilot: Items(Vec::with_capacity(span)),
            items: Items(Vec::with_capacity(span)),
            splitter: Splitter::default(),
            ends: Vec::new(),
        }
    }

    pub(crate) fn scratch_bytes(window: WindowOrder) -> usize {
        let bytes = window.bytes() as usize;
        let span = bytes.min(MAX_SPAN);
        size_of::<Self>()
            + BinaryTrees::<P>::scratch_bytes(bytes)
            + MatchList::<Match>::scratch_bytes(span)
            + PathFinder::scratch_bytes(span)
            + BlockCodes::SCRATCH_BYTES
            + PathCosts::scratch_bytes(window.num_offset_slots())
            + 3 * span * size_of::<Item>()
            + Splitter::scratch_bytes(span, Plan::MIN_PIECE_BYTES)
    }

    pub(crate) fn encode(
        &mut self,
        chunk: &PaddedChunk,
        block: &mut BlockMaker,
        writer: &mut Forward16Writer<'_>,
    ) {
        self.finder.start();
        let mut at = 0;
        while at < chunk.len() {
            let end = chunk.len().min(at + MAX_SPAN);
            self.matches.clear();
            self.finder.list_matches(chunk, end, self.limits, self.plan.effort, &mut self.matches);
            self.parse(chunk, at..end, block.window, block.recent);
            let mut start = 0;
            for &end in &self.ends {
                let mut frequencies = Frequencies::ZERO;
                frequencies.add(&self.items.0[start..end]);
                block.write(chunk, (&self.items.0, start..end), &frequencies, writer);
                start = end;
            }
            block.end_span(&self.items.0);
            at = end;
        }
    }

    /// Parses the chunk from `start` on, what lies before being history, and hands the items of each span with the ends of its
    /// blocks to `sink`. The recent offsets at `start` must not reach before the chunk.
    pub(crate) fn parse_from(
        &mut self,
        chunk: &PaddedChunk,
        (start, mut recent): (usize, RecentOffsets),
        window: WindowOrder,
        sink: &mut dyn FnMut(&[Item], &[usize]),
    ) {
        self.finder.start();
        for (list_start, is_history) in spans(0, start, true).chain(spans(start, chunk.len(), false)) {
            let end = if is_history { start } else { chunk.len() }.min(list_start + MAX_SPAN);
            self.matches.clear();
            self.finder.list_matches(chunk, end, self.limits, self.plan.effort, &mut self.matches);
            if !is_history {
                self.parse(chunk, list_start..end, window, recent);
                recent = recent_after(recent, &self.items.0);
                sink(&self.items.0, &self.ends);
            }
        }
    }

    /// Parses a span into `items` and sets the ends of its blocks there.
    fn parse(&mut self, chunk: &PaddedChunk, span: Range<usize>, window: WindowOrder, recent: RecentOffsets) {
        let Range { start, end } = span;
        self.guess.0.clear();
        self.items.0.clear();
        first_guess::<Rules>(chunk, (start, end), (&self.matches, start), recent, &mut self.guess);
        let blocks = self.splitter.split(&self.guess.0, window, self.plan.piece_bytes);
        self.ends.clear();
        let mut input = PathInput {
            chunk,
            start,
            end,
            matches: &self.matches,
            list_start: start,
            recent,
            gaps: GapEdges::Longest,
        };
        for (guessed, _) in blocks {
            let mut frequencies = guessed.clone();
            let block_bytes = frequencies.bytes;
            let mut source = Source::Guess;
            (input.end, input.gaps) = (input.start + block_bytes, GapEdges::Longest);
            for _ in 1..self.plan.passes {
                set_costs(&mut self.costs, window, &frequencies, source);
                self.pilot.0.clear();
                self.paths.find::<Model>(input, &self.costs, &mut self.pilot);
                frequencies = Frequencies::ZERO;
                frequencies.add(&self.pilot.0);
                source = Source::Parse;
            }
            if self.plan.passes > 1 {
                self.codes.make(window, &frequencies, &Lengths::ZERO, 2);
                source = Source::Codes(&self.codes.lengths);
            }
            set_costs(&mut self.costs, window, &frequencies, source);
            input.gaps = self.plan.gaps;
            (_, input.recent) = self.paths.find::<Model>(input, &self.costs, &mut self.items);
            input.start = input.end;
            self.ends.push(self.items.0.len());
        }
    }
}

/// Starts of the spans of `start..end`, with a mark.
fn spans(start: usize, end: usize, mark: bool) -> impl Iterator<Item = (usize, bool)> {
    (start..end).step_by(MAX_SPAN).map(move |at| (at, mark))
}
