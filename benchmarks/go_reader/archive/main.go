// Command archive reads a checkpoint of a whole history archive with the Go SDK's CheckpointChangeReader and prints
// what it took, as the peer of our bucket merge.
//
//	archive <file:///folder> <checkpoint> <network passphrase>
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stellar/go-stellar-sdk/historyarchive"
	"github.com/stellar/go-stellar-sdk/ingest"
)

type report struct {
	Mode       string         `json:"mode"`
	Entries    int            `json:"entries"`
	ByType     map[string]int `json:"by_type"`
	Seconds    float64        `json:"seconds"`
	CPUSeconds float64        `json:"cpu_seconds"`
	PeakRSS    int64          `json:"peak_rss_bytes"`
	Go         string         `json:"go"`
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: archive <file:///folder> <checkpoint> <network passphrase>")
		os.Exit(2)
	}
	result, err := read(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func read(address, checkpoint, passphrase string) (report, error) {
	result := report{Mode: "CheckpointChangeReader", ByType: map[string]int{}, Go: runtime.Version()}
	sequence, err := strconv.ParseUint(checkpoint, 10, 32)
	if err != nil {
		return result, err
	}
	start, startCPU := time.Now(), cpuSeconds()
	archive, err := historyarchive.Connect(address, historyarchive.ArchiveOptions{NetworkPassphrase: passphrase})
	if err != nil {
		return result, err
	}
	reader, err := ingest.NewCheckpointChangeReader(context.Background(), archive, uint32(sequence))
	if err != nil {
		return result, err
	}
	defer reader.Close()
	header, err := archive.GetLedgerHeader(uint32(sequence))
	if err != nil {
		return result, err
	}
	if err := reader.VerifyBucketList(header.Header.BucketListHash); err != nil {
		return result, err
	}
	for {
		change, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return result, err
		}
		result.Entries++
		result.ByType[change.Type.String()]++
	}
	result.Seconds = time.Since(start).Seconds()
	result.CPUSeconds = cpuSeconds() - startCPU
	result.PeakRSS = peakRSS()
	return result, nil
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
