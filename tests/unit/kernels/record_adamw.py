"""Prints what adamw_test.cpp expects of torch.optim.AdamW: python tests/unit/kernels/record_adamw.py"""

import torch

p = torch.tensor([1.0, -2.0, 0.5, 3e-3, -7.25], requires_grad=True)
optimizer = torch.optim.AdamW([p], lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, foreach=False)
for grad in ([0.1, -0.2, 3.0, 1e-6, 0.0], [-0.3, 0.7, 2.0, 1e-7, 5.0], [0.25, 0.1, -9.0, 0.0, -1.0]):
    p.grad = torch.tensor(grad)
    optimizer.step()
print(", ".join(f"{x:.9g}f" for x in p.tolist()))
