//! Runs the checker, or a list of actions, on a model.

use std::{
    fmt::Debug,
    hash::Hash,
    time::{Duration, Instant},
};

use stateright::{Checker, HasDiscoveries, Model};

/// Verifies all properties in all states that the model can reach.
pub(crate) fn verify<M>(model: M)
where
    M: Model + Debug + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let (name, start) = (format!("{model:?}"), Instant::now());
    // The checker visits all states, also after it has found an example for each `sometimes` property.
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    report(&name, &checker, start.elapsed());
    checker.assert_properties();
}

/// Verifies that a run of the model violates an `always` property, and prints the shortest one.
pub(crate) fn refute<M>(model: M, property: &'static str)
where
    M: Model + Debug + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let (name, start) = (format!("{model:?}"), Instant::now());
    let checker =
        model.checker().finish_when(HasDiscoveries::AllOf([property].into())).spawn_bfs().join();
    report(&name, &checker, start.elapsed());
    let actions = checker.assert_any_discovery(property).into_actions();
    println!("  violates \"{property}\" by {actions:?}");
}

/// Runs the actions. Panics if one of them is not possible.
pub(crate) fn run<M>(model: &M, actions: &[M::Action]) -> M::State
where
    M: Model,
    M::State: Debug,
    M::Action: Clone + Debug + PartialEq,
{
    let mut state = model.init_states().remove(0);
    for action in actions {
        assert!(
            possible_actions(model, &state).contains(action),
            "{action:?} is impossible in {state:?}"
        );
        state = model.next_state(&state, action.clone()).unwrap();
    }
    state
}

/// Returns the actions that are possible in a state.
pub(crate) fn possible_actions<M: Model>(model: &M, state: &M::State) -> Vec<M::Action> {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    actions
}

fn report<M: Model>(name: &str, checker: &impl Checker<M>, duration: Duration) {
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{states} states, at most {depth} steps, {duration:.1?}: {name}");
}
