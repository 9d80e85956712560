-- What wrk calls, and its figures as one line of JSON: wrk … URL -- METHOD BODY_BYTES PATH…
function init(args)
  local method, bytes = args[1], tonumber(args[2])
  local body = bytes > 0 and string.rep("x", bytes) or nil
  local calls = {}
  for index = 3, #args do
    calls[#calls + 1] = wrk.format(method, args[index], nil, body)
  end
  local turn = 0
  request = function()
    turn = turn % #calls + 1
    return calls[turn]
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"status":%d,"socket":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
