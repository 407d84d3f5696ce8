// Command paths fills the Go SDK's order book graph and answers path queries, as the peer of our graph.
//
//	paths <offers.txt> <pools.txt|-> <queries.json> <repeats>
//
// Offers and pools are base64 XDR, one a line; queries are those of the shared data. The time of a query is the best of
// its repeats; its answer is not looked at here.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stellar/go-stellar-sdk/exp/orderbook"
	"github.com/stellar/go-stellar-sdk/xdr"
)

type query struct {
	Kind              string   `json:"kind"`
	MaxPathLength     int      `json:"max_path_length"`
	SourceAssets      []string `json:"source_assets"`
	DestinationAssets []string `json:"destination_assets"`
	Amount            int64    `json:"amount"`
	MaxPathsPerAsset  int      `json:"max_paths_per_asset"`
}

type report struct {
	LoadSeconds float64 `json:"load_seconds"`
	P50         float64 `json:"p50_seconds"`
	P99         float64 `json:"p99_seconds"`
	Paths       int     `json:"paths"`
	Seconds     float64 `json:"seconds"`
	CPUSeconds  float64 `json:"cpu_seconds"`
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: paths <offers.txt> <pools.txt|-> <queries.json> <repeats>")
		os.Exit(2)
	}
	result, err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func run(offersPath, poolsPath, queriesPath, repeatsText string) (report, error) {
	var result report
	repeats, err := strconv.Atoi(repeatsText)
	if err != nil {
		return result, err
	}
	offers, err := entries[xdr.OfferEntry](offersPath)
	if err != nil {
		return result, err
	}
	var pools []xdr.LiquidityPoolEntry
	if poolsPath != "-" {
		if pools, err = entries[xdr.LiquidityPoolEntry](poolsPath); err != nil {
			return result, err
		}
	}
	start := time.Now()
	graph := orderbook.NewOrderBookGraph()
	graph.AddOffers(offers...)
	graph.AddLiquidityPools(pools...)
	if err := graph.Apply(1); err != nil {
		return result, err
	}
	result.LoadSeconds = time.Since(start).Seconds()
	text, err := os.ReadFile(queriesPath)
	if err != nil {
		return result, err
	}
	var queries []query
	if err := json.Unmarshal(text, &queries); err != nil {
		return result, err
	}
	start, startCPU := time.Now(), cpuSeconds()
	times := make([]float64, 0, len(queries))
	for _, asked := range queries {
		best := 0.0
		for repeat := 0; repeat < repeats; repeat++ {
			began := time.Now()
			paths, err := answer(graph, asked, len(pools) > 0)
			took := time.Since(began).Seconds()
			if err != nil {
				return result, err
			}
			if repeat == 0 {
				result.Paths += len(paths)
			}
			if best == 0 || took < best {
				best = took
			}
		}
		times = append(times, best)
	}
	result.Seconds, result.CPUSeconds = time.Since(start).Seconds(), cpuSeconds()-startCPU
	sort.Float64s(times)
	result.P50, result.P99 = times[len(times)/2], times[len(times)*99/100]
	return result, nil
}

func answer(graph *orderbook.OrderBookGraph, asked query, pools bool) ([]orderbook.Path, error) {
	sources, err := assets(asked.SourceAssets)
	if err != nil {
		return nil, err
	}
	destinations, err := assets(asked.DestinationAssets)
	if err != nil {
		return nil, err
	}
	amount := xdr.Int64(asked.Amount)
	if asked.Kind == "strict_receive" {
		paths, _, err := graph.FindPaths(context.Background(), asked.MaxPathLength, destinations[0], amount, nil,
			sources, make([]xdr.Int64, len(sources)), false, asked.MaxPathsPerAsset, pools)
		return paths, err
	}
	paths, _, err := graph.FindFixedPaths(context.Background(), asked.MaxPathLength, sources[0], amount, destinations,
		asked.MaxPathsPerAsset, pools)
	return paths, err
}

func assets(names []string) ([]xdr.Asset, error) {
	found := make([]xdr.Asset, 0, len(names))
	for _, name := range names {
		if name == "native" {
			found = append(found, xdr.MustNewNativeAsset())
			continue
		}
		code, issuer, _ := strings.Cut(name, ":")
		asset, err := xdr.NewCreditAsset(code, issuer)
		if err != nil {
			return nil, err
		}
		found = append(found, asset)
	}
	return found, nil
}

func entries[T any](path string) ([]T, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []T
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var entry T
		if err := xdr.SafeUnmarshalBase64(lines.Text(), &entry); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(found)+1, err)
		}
		found = append(found, entry)
	}
	return found, lines.Err()
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	seconds := func(value syscall.Timeval) float64 { return float64(value.Sec) + float64(value.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}
