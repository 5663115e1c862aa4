//! Buffers the body as it arrives.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    budget::{Budget, Reservation, SMALL},
    rejection::{Rejection, RejectionKind},
};

/// Collects the frames of a body.
///
/// A single frame is kept as it is. Several frames are copied: up to [`SMALL`] into one allocation
/// that doubles, and beyond that into pieces of `SMALL` each, which are joined once the body is
/// complete. Other bodies reuse the pieces of a body that is rejected. The capacity follows what
/// has arrived; `Content-Length` can only limit it, never enlarge it.
#[derive(Debug)]
pub(super) struct Buffer {
    pieces: Pieces,
    limit: usize,
    declared: Option<usize>,
    reservation: Reservation,
}

#[derive(Debug)]
enum Pieces {
    One(Bytes),
    Many(Copies),
}

/// The frames one after another, in pieces of which only the last has room left.
#[derive(Debug)]
struct Copies {
    full: Vec<Vec<u8>>,
    full_length: usize,
    last: Vec<u8>,
    budget: Budget,
}

impl Buffer {
    pub(super) fn new(limit: usize, declared: Option<usize>, reservation: Reservation) -> Self {
        Self { pieces: Pieces::One(Bytes::new()), limit, declared, reservation }
    }

    pub(super) fn len(&self) -> usize {
        match &self.pieces {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(copies) => copies.len(),
        }
    }

    pub(super) fn reservation(&mut self) -> &mut Reservation {
        &mut self.reservation
    }

    /// Rejects a frame that would make the body too large.
    pub(super) fn check(&self, frame: usize) -> Result<(), Rejection> {
        let length = self.len().saturating_add(frame);
        if length > self.limit { Err(RejectionKind::BodyTooLarge.into()) } else { Ok(()) }
    }

    /// Reserves room for a frame; `false` if there is none now.
    pub(super) fn try_grow(&mut self, frame: usize) -> bool {
        let total = self.capacity_with(frame);
        self.reservation.try_grow(total)
    }

    /// Waits for room for a frame; `false` if there will never be enough.
    pub(super) fn poll_grow(&mut self, cx: &mut Context<'_>, frame: usize) -> Poll<bool> {
        let total = self.capacity_with(frame);
        self.reservation.poll_grow(cx, total)
    }

    /// Appends a frame for which room was reserved.
    pub(super) fn append(&mut self, frame: Bytes) {
        let capacity = self.capacity_with(frame.len());
        if let Pieces::One(first) = &mut self.pieces {
            if first.is_empty() {
                self.pieces = Pieces::One(frame);
                return;
            }
            let mut copies = Copies::new(self.reservation.budget());
            copies.append(first, capacity);
            self.pieces = Pieces::Many(copies);
        }
        if let Pieces::Many(copies) = &mut self.pieces {
            copies.append(&frame, capacity);
        }
    }

    /// Returns the capacity once a frame is added.
    fn capacity_with(&self, frame: usize) -> usize {
        let length = self.len() + frame;
        let capacity = match &self.pieces {
            Pieces::One(first) if first.is_empty() => return length,
            Pieces::One(_) => 0,
            Pieces::Many(copies) => copies.capacity(),
        };
        if length <= capacity {
            return capacity;
        }
        let bound = self.declared.filter(|declared| length <= *declared).unwrap_or(self.limit);
        let ample = if length <= SMALL {
            SMALL.min(length * 2)
        } else {
            length.checked_next_multiple_of(SMALL).unwrap_or(length)
        };
        ample.min(bound).max(length)
    }

    /// Returns the body in one piece.
    pub(super) fn finish(self) -> (Bytes, Reservation) {
        let bytes = match self.pieces {
            Pieces::One(bytes) => bytes,
            Pieces::Many(copies) => copies.join().into(),
        };
        (bytes, self.reservation)
    }
}

impl Copies {
    fn new(budget: Budget) -> Self {
        Self { full: Vec::new(), full_length: 0, last: Vec::new(), budget }
    }

    fn len(&self) -> usize {
        self.full_length + self.last.len()
    }

    fn capacity(&self) -> usize {
        self.full_length + self.last.capacity()
    }

    /// Adds a frame, after which the capacity of all pieces is `capacity`.
    fn append(&mut self, mut frame: &[u8], capacity: usize) {
        loop {
            self.grow_last(SMALL.min(capacity - self.full_length));
            let room = self.last.capacity() - self.last.len();
            let (now, later) = frame.split_at(frame.len().min(room));
            self.last.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            frame = later;
            self.full_length += self.last.len();
            self.full.push(mem::take(&mut self.last));
        }
    }

    fn grow_last(&mut self, capacity: usize) {
        if capacity <= self.last.capacity() {
            return;
        }
        if capacity < SMALL {
            self.last.reserve_exact(capacity - self.last.len());
        } else {
            let begun = mem::replace(&mut self.last, self.budget.piece());
            self.last.extend_from_slice(&begun);
        }
    }

    fn join(mut self) -> Vec<u8> {
        if self.full.is_empty() {
            return mem::take(&mut self.last);
        }
        let mut bytes = Vec::with_capacity(self.len());
        // Freed rather than passed on, since the joined body takes over their share of the budget.
        for piece in mem::take(&mut self.full).into_iter().chain([mem::take(&mut self.last)]) {
            bytes.extend_from_slice(&piece);
        }
        bytes
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let last = mem::take(&mut self.last);
        for piece in mem::take(&mut self.full).into_iter().chain([last]) {
            if piece.capacity() == SMALL {
                self.budget.leave_piece(piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(limit: usize, declared: Option<usize>) -> Buffer {
        Buffer::new(limit, declared, Budget::new(1 << 30).reservation(declared))
    }

    /// Returns the number of allocated bytes.
    fn capacity(buffer: &Buffer) -> usize {
        match &buffer.pieces {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(Copies { full, last, full_length, .. }) => {
                assert_eq!(full.iter().map(Vec::len).sum::<usize>(), *full_length);
                full.iter().map(Vec::capacity).sum::<usize>() + last.capacity()
            }
        }
    }

    fn push(buffer: &mut Buffer, frame: Bytes) {
        assert!(buffer.try_grow(frame.len()));
        buffer.append(frame);
        assert_eq!(buffer.reservation.bytes(), capacity(buffer));
    }

    #[test]
    fn does_not_copy_a_single_frame() {
        let frame = Bytes::from(vec![7; 100]);
        let mut buffer = buffer(100, None);
        push(&mut buffer, frame.clone());
        assert_eq!(buffer.finish().0.as_ptr(), frame.as_ptr());
    }

    #[test]
    fn joins_frames_in_order() {
        for declared in [None, Some(9), Some(3), Some(usize::MAX)] {
            let mut buffer = buffer(100, declared);
            for frame in ["abc", "d", "ef", "ghi"] {
                push(&mut buffer, Bytes::from(frame));
            }
            assert_eq!(buffer.finish().0, "abcdefghi");
        }
    }

    #[test]
    fn limit_is_inclusive() {
        let mut buffer = buffer(4, None);
        push(&mut buffer, Bytes::from("abc"));
        assert!(buffer.check(1).is_ok());
        assert_eq!(buffer.check(2).unwrap_err().kind(), RejectionKind::BodyTooLarge);
        assert_eq!(buffer.check(usize::MAX).unwrap_err().kind(), RejectionKind::BodyTooLarge);
    }

    #[test]
    fn capacity_follows_what_arrived_not_what_was_declared() {
        let mut buffer = buffer(1 << 20, Some(1 << 20));
        for _ in 0..2 {
            push(&mut buffer, Bytes::from(vec![0; 10]));
        }
        assert_eq!(capacity(&buffer), 40);
    }

    #[test]
    fn large_body_is_held_in_equal_pieces_and_joined_in_order() {
        let body: Vec<u8> = (0..251).cycle().take(5 * SMALL + 1234).collect();
        for declared in [None, Some(1), Some(body.len()), Some(body.len() + 1)] {
            for frame in [1000, SMALL - 1, SMALL, 3 * SMALL] {
                let mut buffer = buffer(1 << 30, declared);
                for frame in body.chunks(frame) {
                    push(&mut buffer, Bytes::copy_from_slice(frame));
                    if let Pieces::Many(Copies { full, .. }) = &buffer.pieces {
                        assert!(full.iter().all(|piece| piece.capacity() == SMALL));
                    }
                    let spare = if buffer.len() < SMALL { buffer.len() } else { SMALL };
                    assert!(capacity(&buffer) <= buffer.len() + spare);
                }
                if declared == Some(body.len()) {
                    assert_eq!(capacity(&buffer), body.len());
                }
                assert!(buffer.finish().0 == body, "{declared:?}, frames of {frame}");
            }
        }
    }

    #[test]
    fn pieces_of_a_rejected_body_are_reused() {
        let budget = Budget::new(1 << 30);
        let body = || {
            let mut buffer = Buffer::new(1 << 30, None, budget.reservation(None));
            for _ in 0..3 {
                push(&mut buffer, Bytes::from(vec![7; SMALL]));
            }
            buffer
        };
        let addresses = |buffer: &Buffer| match &buffer.pieces {
            Pieces::Many(Copies { full, last, .. }) => {
                full.iter().chain([last]).map(|piece| piece.as_ptr()).collect::<Vec<_>>()
            }
            Pieces::One(_) => panic!(),
        };
        let other = budget.reservation(None);
        let buffer = body();
        let pieces = addresses(&buffer);
        drop(buffer);
        let buffer = body();
        assert!(addresses(&buffer).iter().all(|piece| pieces.contains(piece)));
        let (joined, reservation) = buffer.finish();
        assert_eq!(joined, vec![7; 3 * SMALL]);
        assert_eq!(budget.pieces_left(), 0, "a body that was joined leaves none");
        drop((reservation, body()));
        assert_eq!(budget.pieces_left(), 3);
        let mut event = budget.reservation(None);
        event.set_verified();
        assert!(event.try_grow(SMALL + 1));
        assert_eq!(budget.pieces_left(), 1, "an event takes their memory");
        drop((event, other));
        assert_eq!(budget.pieces_left(), 0);
    }
}
