// Package arch holds no product code. Its tests keep the shape of the
// repository: which room may import which and why, what users of the SDK
// inherit, how long a file may get, and what stands at the top level.
package arch
