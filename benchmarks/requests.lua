-- Asks for the addresses of a file in turn, and prints the figures as JSON at the end. For bench_serve.py.
local addresses, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do addresses[#addresses + 1] = wrk.format("GET", line) end
end

function request()
  at = at % #addresses + 1
  return addresses[at]
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '{"asked_for": %.6f, "requests": %d, "p50": %.6f, "p99": %.6f, "most": %.6f, "refused": %d, "broken": %d}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    latency.max / 1e6, failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
