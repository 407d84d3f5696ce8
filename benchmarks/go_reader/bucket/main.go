// Command bucket reads one live bucket with the Go SDK and prints what it took, as the peer of our kernel.
//
//	bucket decode|rows <bucket-HASH.xdr.gz>
//
// Both modes gunzip, hash and decode every record with xdr.Stream. "rows" also fills one flat row per live entry, the
// fields and texts that a Horizon table of that entry needs; the rows are dropped at once, nothing is encoded further.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/stellar/go-stellar-sdk/xdr"
)

type report struct {
	Mode       string  `json:"mode"`
	Records    int     `json:"records"`
	Entries    int     `json:"entries"`
	TextBytes  int     `json:"text_bytes"`
	RawBytes   int64   `json:"raw_bytes"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	PeakRSS    int64   `json:"peak_rss_bytes"`
	Go         string  `json:"go"`
	SDK        string  `json:"sdk"`
}

func main() {
	if len(os.Args) != 3 || (os.Args[1] != "decode" && os.Args[1] != "rows") {
		fmt.Fprintln(os.Stderr, "usage: bucket decode|rows <bucket-HASH.xdr.gz>")
		os.Exit(2)
	}
	result, err := read(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func read(mode, path string) (report, error) {
	result := report{Mode: mode, Go: runtime.Version(), SDK: sdkVersion()}
	expected, err := bucketHash(path)
	if err != nil {
		return result, err
	}
	start, startCPU := time.Now(), cpuSeconds()
	file, err := os.Open(path)
	if err != nil {
		return result, err
	}
	stream, err := xdr.NewGzStream(file)
	if err != nil {
		return result, err
	}
	defer stream.Close()
	keys := xdr.NewEncodingBuffer()
	for {
		var record xdr.BucketEntry
		if err := stream.ReadOne(&record); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return result, fmt.Errorf("%s: record %d: %w", path, result.Records, err)
		}
		result.Records++
		entry := record.LiveEntry
		if entry == nil {
			continue
		}
		result.Entries++
		if mode == "rows" {
			size, err := rowOf(entry, keys)
			if err != nil {
				return result, fmt.Errorf("%s: record %d: %w", path, result.Records-1, err)
			}
			result.TextBytes += size
		}
	}
	result.RawBytes = stream.BytesRead()
	if err := stream.ValidateHash(expected); err != nil {
		return result, err
	}
	result.Seconds = time.Since(start).Seconds()
	result.CPUSeconds = cpuSeconds() - startCPU
	result.PeakRSS = peakRSS()
	return result, nil
}

// bucketHash takes the hash from the file's name: bucket-<64 hex digits>.xdr.gz.
func bucketHash(path string) (expected [32]byte, err error) {
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "bucket-"), ".xdr.gz")
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) != 32 {
		return expected, fmt.Errorf("%s: the name is not bucket-<64 hex digits>.xdr.gz", path)
	}
	copy(expected[:], raw)
	return expected, nil
}

func usage() (result syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &result)
	return result
}

// peakRSS is the largest resident set since the program started; getrusage would count the parent's before exec.
func peakRSS() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	var kilobytes int64
	if _, rest, found := strings.Cut(string(status), "VmHWM:"); found {
		_, _ = fmt.Sscan(rest, &kilobytes)
	}
	return kilobytes * 1024
}

func cpuSeconds() float64 {
	now := usage()
	return float64(now.Utime.Nano()+now.Stime.Nano()) / 1e9
}

func sdkVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/stellar/go-stellar-sdk" {
			return module.Version
		}
	}
	return "unknown"
}
