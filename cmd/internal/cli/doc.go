// Package cli is the command line of Sluice for operators: `sluice now`, `off`, `on`, `hold`, `release`, `why`, `incidents`,
// `channels`, `watch`. These commands are gRPC clients and nothing else: they see what the API shows and can do what the API
// allows. Everything printed is made by pure functions (messages in, text out) that take the time and the width as arguments.
//
// What people read goes to standard output, questions and complaints to standard error. With `-o json` the output is the
// protojson of the reply. Colour is never the only sign; without a terminal, or with NO_COLOR set, there is none.
package cli
