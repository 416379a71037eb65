import time
from tests.live_server import LiveServer
def test_it(tmp_path):
    t=time.time()
    with LiveServer(tmp_path) as s:
        print("start", time.time()-t); t=time.time()
        print(s.api("GET","agents"), time.time()-t); t=time.time()
        s.restart(graceful=False); print("kill restart", time.time()-t); t=time.time()
        s.restart(); print("restart", time.time()-t); t=time.time()
        print(s.get("agents/summary")); 
    print(time.time()-t)
    print(s.log_tail())
    assert 0
