// Package campaign measures automation over many simulated days: it makes the traces (six channels, eight banks, six
// merchants, a fault every 20 to 30 minutes, traps between them) from a class of traffic, a seed and a day, runs each day
// as a unit of its own, keeps the results a line a unit so that a long command can be resumed, and adds them up.
package campaign
