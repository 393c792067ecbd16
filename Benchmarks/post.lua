-- For wrk: posts to the Prometheus route. Words after `--`: new|repeated, alerts a request.
-- "new" gives every alert a name of its own, and so a fingerprint and a storm group of its own.

local threads = 0

function setup(thread)
    thread:set("id", threads)
    threads = threads + 1
end

function init(words)
    kind, alerts = words[1], tonumber(words[2])
    count, run = 0, os.time() % 1000000
    local padding = string.rep("x", 400) -- an alert of about 700 bytes, as rules with a summary make them
    before = '{"labels":{"alertname":"Load'
    after = '","namespace":"bench","deployment":"checkout","severity":"critical","pod":"checkout-7c9f"},'
        .. '"annotations":{"summary":"uses 97 % of its limit","description":"' .. padding .. '"},'
        .. '"startsAt":"2026-08-01T12:00:00.000Z","generatorURL":"http://prometheus.example:9090/graph?g0.expr=up"}'
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    if kind == "repeated" then fixed = wrk.format(nil, nil, nil, body()) end
end

function body()
    local parts = {}
    for place = 1, alerts do
        local name = place
        if kind == "new" then
            count = count + 1
            name = run .. "n" .. id .. "n" .. count
        end
        parts[place] = before .. name .. after
    end
    return "[" .. table.concat(parts, ",") .. "]"
end

function request()
    return fixed or wrk.format(nil, nil, nil, body())
end

function done(summary, latency)
    local seconds = summary.duration / 1e6
    local failed = summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.connect
    print(string.format("RESULT %.0f %.2f %d", summary.requests / seconds, latency:percentile(99) / 1000, failed))
end
