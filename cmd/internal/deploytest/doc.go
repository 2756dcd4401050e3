// Package deploytest holds the tests of deploy/: that the Debian package installs and what it ships runs, that the unit is sound
// and hardened, that alert rules and the dashboard ask for metrics which a running replica has.
package deploytest
