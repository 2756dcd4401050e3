// Package backtest replays recorded seconds through the production node under other policies, and compares what automation
// would have done with what automation and people did.
//
// A replay is open-loop: the traffic that really flowed is what is judged, and no payment takes another channel because of
// a replayed cut. What never happened is approximated:
//
//   - while a scope is closed in the replay, its recorded results are taken out of it and of the wider items, so that they are
//     evidence of nothing; those of a ramp are a random part of the recorded ones, as large as the share;
//   - a probe token takes the next recorded payment of the scope, and its result is one of the next recorded results;
//   - results of attempts that were decided before a step began are not told apart: a replay may be ahead by one reply time;
//   - where the recording itself had the scope closed, only its own probes and ramps are known: nothing else returns it;
//   - the load that a cut moves is not added to the channels that would have carried it.
//
// Orders of people are not replayed: they are what the replay is compared with. Detectors start knowing nothing.
package backtest
