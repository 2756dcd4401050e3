// Package config is the configuration of one process: a strict YAML file, environment variables and flags, in rising order of
// precedence over built-in defaults. Every setting has one key; its variable and its flag follow from that:
//
//	etcd.tls.server_name   SLUICE_ETCD_TLS_SERVER_NAME   --etcd-tls-server-name
//
// All problems are reported at once, each with its place. Secrets are never values of a setting: settings name files that hold
// them, so that no configuration, environment or process list shows one.
package config
