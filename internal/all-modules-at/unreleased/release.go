// Package release holds the modules of chunkfill at one version. The command imports it, and each release renames
// the folder after itself: where the library is of another release than the command, the package is missing, and
// the build ends with its name before it could go wrong in some other way. (A newer bench would bring a newer library.)
//
// The way out is one version for all of them, such as
//
//	go get github.com/chunkfill/chunkfill@latest github.com/chunkfill/chunkfill/cmd@latest
package release
