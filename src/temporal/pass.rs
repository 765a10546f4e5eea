//! A pass of the network over one sequence in time.

use std::collections::VecDeque;

use super::input::FaceNumbers;
use super::network::{Block, TemporalNetwork};
use crate::labels::Affect;

/// A pass over a sequence, frame by frame. The outputs of a frame come [`TemporalNetwork::reach`] frames later. It holds
/// the maps of twice as many frames, however long the sequence is.
#[derive(Debug)]
pub struct SequencePass<'network> {
    network: &'network TemporalNetwork,
    /// For each block the maps of the frames that it still needs, the oldest first.
    waiting: Vec<VecDeque<Vec<f32>>>,
}

impl<'network> SequencePass<'network> {
    /// A pass at the beginning of a sequence.
    pub fn new(network: &'network TemporalNetwork) -> Self {
        let zeros = |block: &Block| vec![vec![0.0; network.channels()]; block.dilation].into();
        Self {
            network,
            waiting: network.blocks.iter().map(zeros).collect(),
        }
    }

    /// Takes the next frame; `None`: the person was not seen in it. Returns the outputs of the frame `reach` frames
    /// before, if the sequence has begun there.
    pub fn push(&mut self, face: Option<&FaceNumbers>) -> Option<Affect> {
        let map = self.network.first_map(face);
        self.through(0, map)
    }

    /// Ends the sequence. Returns the outputs of the frames that are left.
    pub fn finish(mut self) -> Vec<Affect> {
        let mut left = Vec::new();
        for number in 0..self.waiting.len() {
            for _ in 0..self.network.blocks[number].dilation {
                let zeros = vec![0.0; self.network.channels()];
                left.extend(self.through(number, zeros));
            }
        }
        left
    }

    /// Gives a map to a block, and what comes out of it to the next one.
    fn through(&mut self, first: usize, mut map: Vec<f32>) -> Option<Affect> {
        for (block, waiting) in self.network.blocks[first..]
            .iter()
            .zip(&mut self.waiting[first..])
        {
            waiting.push_back(map);
            if waiting.len() <= 2 * block.dilation {
                return None;
            }
            map = block.apply([0, block.dilation, 2 * block.dilation].map(|at| waiting[at].as_slice()));
            waiting.pop_front();
        }
        Some(self.network.outputs(map))
    }
}
