//! The body as it arrives.

use bytes::Bytes;

use super::{
    budget::Reservation,
    rejection::{Rejection, RejectionKind},
};

/// Collects frames into one piece. A single frame is kept as it is; more are copied into one
/// allocation that grows with what has arrived, to twice its size at most, and never on the word of
/// `Content-Length`: that only keeps it from growing too far.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Pieces,
    limit: usize,
    declared: Option<usize>,
    reservation: Reservation,
}

#[derive(Debug)]
enum Pieces {
    One(Bytes),
    Many(Vec<u8>),
}

impl Buffer {
    pub(super) fn new(limit: usize, declared: Option<usize>, reservation: Reservation) -> Self {
        Self { bytes: Pieces::One(Bytes::new()), limit, declared, reservation }
    }

    pub(super) fn push(&mut self, frame: Bytes) -> Result<(), Rejection> {
        if frame.is_empty() {
            return Ok(());
        }
        let length = self.len().saturating_add(frame.len());
        if length > self.limit {
            return Err(RejectionKind::BodyTooLarge.into());
        }
        if self.len() == 0 {
            self.reserve(length)?;
            self.bytes = Pieces::One(frame);
            return Ok(());
        }
        let capacity = match &self.bytes {
            Pieces::One(_) => 0,
            Pieces::Many(bytes) => bytes.capacity(),
        };
        if length > capacity {
            let ample = length.saturating_mul(2).min(self.declared.unwrap_or(self.limit));
            let capacity = ample.max(length);
            self.reserve(capacity)?;
            match &mut self.bytes {
                Pieces::One(first) => {
                    let mut bytes = Vec::with_capacity(capacity);
                    bytes.extend_from_slice(first);
                    self.bytes = Pieces::Many(bytes);
                }
                Pieces::Many(bytes) => bytes.reserve_exact(capacity - bytes.len()),
            }
        }
        if let Pieces::Many(bytes) = &mut self.bytes {
            bytes.extend_from_slice(&frame);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        match &self.bytes {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(bytes) => bytes.len(),
        }
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), Rejection> {
        let taken = self.reservation.grow_to(bytes);
        if taken { Ok(()) } else { Err(RejectionKind::Overloaded.into()) }
    }

    pub(super) fn finish(self) -> (Bytes, Reservation) {
        let bytes = match self.bytes {
            Pieces::One(bytes) => bytes,
            Pieces::Many(bytes) => bytes.into(),
        };
        (bytes, self.reservation)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::budget::Budget, *};

    fn buffer(limit: usize, declared: Option<usize>, budget: usize) -> Buffer {
        Buffer::new(limit, declared, Budget::new(budget).reservation())
    }

    fn kind(result: Result<(), Rejection>) -> RejectionKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn one_frame_is_not_copied() {
        let frame = Bytes::from(vec![7; 100]);
        let mut buffer = buffer(100, None, 100);
        buffer.push(frame.clone()).unwrap();
        buffer.push(Bytes::new()).unwrap();
        assert_eq!(buffer.finish().0.as_ptr(), frame.as_ptr());
    }

    #[test]
    fn many_frames_are_joined_in_order() {
        for declared in [None, Some(9), Some(3), Some(usize::MAX)] {
            let mut buffer = buffer(100, declared, 200);
            for frame in ["abc", "", "d", "efghi"] {
                buffer.push(Bytes::from(frame)).unwrap();
            }
            assert_eq!(buffer.finish().0, "abcdefghi");
        }
    }

    #[test]
    fn the_limit_is_inclusive() {
        let mut buffer = buffer(4, None, 100);
        buffer.push(Bytes::from("abcd")).unwrap();
        assert_eq!(kind(buffer.push(Bytes::from("e"))), RejectionKind::BodyTooLarge);
    }

    #[test]
    fn capacity_follows_what_arrived_not_what_was_declared() {
        let mut buffer = buffer(1 << 20, Some(1 << 20), usize::MAX);
        buffer.push(Bytes::from(vec![0; 10])).unwrap();
        buffer.push(Bytes::from(vec![0; 10])).unwrap();
        let Pieces::Many(bytes) = &buffer.bytes else { panic!() };
        assert_eq!(bytes.capacity(), 40);
    }

    #[test]
    fn what_the_budget_lacks_is_overload() {
        let mut buffer = buffer(100, None, 10);
        buffer.push(Bytes::from(vec![0; 8])).unwrap();
        assert_eq!(kind(buffer.push(Bytes::from(vec![0; 8]))), RejectionKind::Overloaded);
    }
}
