//! Places for work that takes the processor or the disk: so many at once, of which no tenant takes all.
//!
//! Who asks waits for a place of the own tenant first, and only then in the line of all. So at most as many of a tenant are ahead of another's
//! as it may have places, however many it asks for, and since what has a place ends in a bounded time, so does the wait.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// Places at once, shared by tenants.
#[derive(Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    of_tenant: Arc<[Arc<Semaphore>]>,
}

/// A place, held as long as this is.
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _of_tenant: OwnedSemaphorePermit,
}

impl Places {
    /// So many places for so many tenants: all of them for one, all but one for each of several.
    pub(crate) fn new(count: usize, tenants: usize) -> Places {
        let each = if tenants > 1 { (count - 1).max(1) } else { count };
        let of_tenant = (0..tenants).map(|_| Arc::new(Semaphore::new(each))).collect();
        Places { all: Arc::new(Semaphore::new(count)), of_tenant }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Where the program is stopping.
    pub(crate) async fn take(&self, tenant: u32) -> Result<Place, Problem> {
        let stopping = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the program is stopping");
        let of_tenant = self.of_tenant[tenant as usize].clone().acquire_owned().await.map_err(stopping)?;
        Ok(Place { _all: self.all.clone().acquire_owned().await.map_err(stopping)?, _of_tenant: of_tenant })
    }

    /// A place, if there is one.
    pub(crate) fn try_take(&self, tenant: u32) -> Option<Place> {
        let of_tenant = self.of_tenant[tenant as usize].clone().try_acquire_owned().ok()?;
        Some(Place { _all: self.all.clone().try_acquire_owned().ok()?, _of_tenant: of_tenant })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What has come of waiting so far.
    fn look<T>(waiting: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[test]
    fn no_tenant_takes_all_and_nobody_waits_behind_a_crowd() {
        let places = Places::new(4, 3);
        let mut crowd: Vec<_> = (0..50).map(|_| Box::pin(places.take(0))).collect();
        let mut held: Vec<Place> =
            crowd.iter_mut().filter_map(|one| look(one.as_mut())).map(|place| place.expect("taken")).collect();
        assert_eq!(held.len(), 3, "all but one");
        assert!(places.try_take(0).is_none());
        let one = places.try_take(1).expect("the last is for others");
        // Another waits for one of the four, ahead of those of the crowd that have no place of their tenant yet.
        let mut other = pin!(places.take(2));
        assert!(look(other.as_mut()).is_none());
        held.pop();
        let of_crowd = crowd.iter_mut().skip(3).filter_map(|next| look(next.as_mut())).count();
        let other = look(other.as_mut());
        assert_eq!((of_crowd, other.is_some()), (0, true));
        drop(one);
        let next: Vec<_> = crowd.iter_mut().skip(3).filter_map(|next| look(next.as_mut())).collect();
        assert_eq!(next.len(), 1);
    }

    #[test]
    fn one_tenant_alone_has_all() {
        let places = Places::new(2, 1);
        let held: Vec<Option<Place>> = (0..3).map(|_| places.try_take(0)).collect();
        assert_eq!(held.iter().flatten().count(), 2);
    }
}
