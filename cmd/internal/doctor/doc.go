// Package doctor examines what one replica needs before it is started, and while it runs: its configuration, files,
// certificates, addresses, stores and clocks. It changes nothing.
package doctor
