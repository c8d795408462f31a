//go:build tools

// Package tools names the program that this module's go.mod and go.sum pin.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
