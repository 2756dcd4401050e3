// Package catalogfile reads catalogues written in YAML, strictly: the messages of
// sluice.config.v1 are the only schema, and everything the schema does not know is
// refused. All problems of a file are reported at once, each with line, column,
// field path and what would be right:
//
//	catalog.yaml:12:7: channels[3].capacity.payments_per_second: want a whole number, have "fast"
//
// Keys are the field names of the messages. Enum values are written without their
// prefix (COLLECT), durations like 10s or 1h30m, times in RFC 3339. A file holds one
// document; anchors, aliases and merge keys may be used, tags may not.
//
// The package stands apart from routing so that users of routing, the SDK among them,
// inherit neither a YAML parser nor a rule engine.
package catalogfile
